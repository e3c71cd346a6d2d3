// Looks into a token, as far as that is possible without the server: the signature
// is the server's to check.

const largest = 8 << 10 // bytes, of a token

// inspect says what a token claims, and what the server would say to it. A finding is
// { ok, text }.
export function inspect(token, rules, now) {
  const found = []
  const bad = (text) => found.push({ ok: false, text })
  const good = (text) => found.push({ ok: true, text })
  if (token.length > largest) bad(`it has ${token.length} bytes, and more than ${largest} are not looked at`)
  const parts = token.split('.')
  if (parts.length !== 3) {
    bad(`it has ${parts.length === 1 ? 'one part' : `${parts.length} parts`} instead of three, so it is no signed JWT`)
    return { found }
  }
  const header = read(parts[0])
  const claims = read(parts[1])
  if (!header) bad('its header cannot be read: it must be a JSON object in base64url')
  if (!claims) bad('its claims cannot be read: they must be a JSON object in base64url')
  if (!/^[A-Za-z0-9_-]+$/.test(parts[2])) bad('it has no signature')
  if (header) judgeHeader(header, rules, good, bad)
  if (claims) {
    judgeTimes(claims, rules, now, good, bad)
    judgeIdentity(claims, rules, good, bad)
  }
  return { header, claims, found, user: claims && member(claims, rules.user_claim), plan: claims && member(claims, rules.plan_claim) }
}

// read decodes one part.
function read(part) {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return null
  try {
    const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function judgeHeader(header, rules, good, bad) {
  const wanted = rules.algorithms.join(' or ')
  if (rules.algorithms.includes(header.alg)) good(`alg is ${header.alg}`)
  else if (/^none$/i.test(header.alg ?? '')) bad(`alg is none: nobody signed it. This server wants ${wanted}`)
  else bad(`alg is ${shown(header.alg)}: this server wants ${wanted}`)
  if (rules.key_id && typeof header.kid !== 'string') bad('kid is missing: it must name the key that signed it')
  if (Object.hasOwn(header, 'crit')) bad('crit asks for an extension, and this server knows none')
  if (header.typ !== undefined && !/^(jwt|at\+jwt)$/i.test(String(header.typ))) bad(`typ is ${shown(header.typ)}: it must be JWT, at+jwt or absent`)
}

function judgeTimes(claims, rules, now, good, bad) {
  const { exp, nbf, iat } = claims
  const leeway = rules.leeway_ms
  if (exp === undefined || exp === null) bad('exp is missing: a token must say until when it is valid')
  else if (typeof exp !== 'number') bad('exp must be a number of seconds')
  else if (exp * 1000 + leeway < now) bad('it has expired')
  else if (exp * 1000 - now > rules.max_lifetime_ms + leeway) bad(`it is valid for too long: at most ${Math.round(rules.max_lifetime_ms / 3_600_000)} hours may be left (JWT_MAX_LIFETIME)`)
  else good('it has not expired')
  if (typeof nbf === 'number' && nbf * 1000 - leeway > now) bad('nbf is in the future: it is not valid yet')
  if (typeof iat === 'number' && iat * 1000 - leeway > now) bad('iat is in the future: a clock is wrong')
}

function judgeIdentity(claims, rules, good, bad) {
  const user = member(claims, rules.user_claim)
  if (typeof user === 'string' && user !== '') good(`${rules.user_claim} names the user`)
  else bad(`${rules.user_claim} is missing: it must name the user`)
  if (rules.issuer) {
    if (claims.iss === rules.issuer) good('iss is the one that is expected')
    else bad(`iss is ${shown(claims.iss)}: this server wants ${rules.issuer}`)
  }
  if (rules.audience.length > 0) {
    const said = [claims.aud].flat()
    if (rules.audience.some((a) => said.includes(a))) good('aud names this server')
    else bad(`aud is ${shown(claims.aud)}: this server wants ${rules.audience.join(' or ')}`)
  }
}

// member is a claim's value: its name is taken literally first, then as a path.
function member(claims, name) {
  if (!name) return undefined
  if (Object.hasOwn(claims, name)) return claims[name]
  return name.split('.').reduce((at, part) => (at !== null && typeof at === 'object' && Object.hasOwn(at, part) ? at[part] : undefined), claims)
}

const shown = (value) => (value === undefined ? 'missing' : JSON.stringify(value))

// Package config turns the environment into a Config, or into every problem
// with it at once.
//
// A setting is a field of one of the groups below. Its tags are all there is to
// know of it: name, default, bounds, and the sentence that `.env.example`, the
// README and `check` show. So nothing can be documented that is not read, and
// nothing read that is not documented.
//
// Three rules hold everywhere. A value that does not parse is a problem, never
// the default. An empty value is no value (compose files hand those out for
// whatever is not set). And no secret is ever quoted, by us or by a parser's
// error: secrets pass through no parser, and other values are quoted by quote.
package config

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/limit"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

// Config is what the operator decided.
//
// Tags: env, envDefault; dev is the default in Dev; min and max are inclusive;
// oneof lists the values there are; eg is a value to show in a fix or in the
// examples; must says what Serve cannot do without.
type Config struct {
	Server   Server   `desc:"Server"`
	OpenAI   OpenAI   `desc:"OpenAI"`
	Text     Text     `desc:"Text API"`
	V1       V1       `desc:"OpenAI-compatible API"`
	Identity Identity `desc:"Identity"`
	Limits   Limits   `desc:"Limits"`
	Money    Money    `desc:"Money"`
	Operator Operator `desc:"Operator"`
	Alerts   Alerts   `desc:"Alerts"`

	// Auth is what Identity comes to. In Dev its Secret is empty when there is
	// neither a secret nor a key set.
	Auth auth.Config `env:"-"`

	// Prices, Plans and Multiplier are what Money comes to. The default plan is
	// what the environment says, unless PLANS_FILE has another.
	Prices     *policy.Table     `env:"-"`
	Plans      policy.Plans      `env:"-"`
	Multiplier policy.Multiplier `env:"-"`

	// KeyFiles are the files that OPENAI_API_KEY_FILE and OPENAI_API_KEYS_FILE name:
	// they are read again when they change.
	KeyFiles []string `env:"-"`

	// Ephemeral says that what was spent may be forgotten with the next start, and
	// that the operator accepts it.
	Ephemeral bool `env:"-"`
}

// Server says where to listen, and to whom.
type Server struct {
	Port          int           `env:"PORT" envDefault:"3000" min:"0" max:"65535" desc:"the port to listen on; 0 takes any free one and prints it"`
	Host          string        `env:"HOST" dev:"127.0.0.1" desc:"the address to listen on; unset means all of them"`
	PublicURL     string        `env:"PUBLIC_URL" eg:"https://api.example.com" desc:"this server's own origin, as browsers see it; Render, Railway, Fly and Heroku tell it by themselves"`
	TrustedProxy  limit.Trust   `env:"TRUSTED_PROXY" envDefault:"none" desc:"who says what the client's address is: none (nobody, take the connection's), render, railway, fly, cloudflare, heroku, cloudrun, header:<name>,<CIDR>, a number of proxies, or their CIDRs"`
	Origins       Origins       `env:"ALLOWED_ORIGINS" must:"required" eg:"https://app.example.com" desc:"the websites that may call, exactly as browsers name them, separated by commas; none means no website (only servers and apps)"`
	Endpoints     Endpoints     `env:"ENDPOINTS" envDefault:"text" dev:"text,chat,responses,embeddings,moderations" desc:"what is open, separated by commas: text (the text API), and of the OpenAI-compatible API chat (with /api/chat and /api/completion), responses, embeddings and moderations"`
	MaxBody       Bytes         `env:"MAX_BODY" envDefault:"64KiB" min:"1KiB" max:"16MiB" desc:"the largest request body on the text API"`
	MaxBodyV1     Bytes         `env:"MAX_BODY_V1" envDefault:"1MiB" min:"1KiB" max:"16MiB" desc:"the same on /v1, /api/chat and /api/completion"`
	MaxInFlight   int           `env:"MAX_IN_FLIGHT" envDefault:"10000" min:"1" max:"1000000" desc:"requests under way at once; more are told to come back"`
	ShutdownGrace time.Duration `env:"SHUTDOWN_GRACE" envDefault:"25s" min:"0s" max:"10m" desc:"how long running answers may take to end when the server stops"`
	LogLevel      slog.Level    `env:"LOG_LEVEL" envDefault:"info" oneof:"debug info warn error" desc:"the least that is logged"`
	LogFormat     string        `env:"LOG_FORMAT" envDefault:"json" dev:"text" oneof:"json text" desc:"how it is logged"`
}

// OpenAI says whom to ask, and how long to wait.
type OpenAI struct {
	Key               secret.String `env:"OPENAI_API_KEY" must:"required" desc:"the key that nobody else shall see"`
	Keys              secret.String `env:"OPENAI_API_KEYS" desc:"several keys instead, or besides: the first that works is used, and the next one when OpenAI refuses it; separated by commas or line ends"`
	Source            KeySource     `env:"OPENAI_KEY_SOURCE" eg:"aws-sm:prod/openai" desc:"where keys are fetched from instead: aws-sm:<name> (AWS Secrets Manager), gcp-sm:projects/<project>/secrets/<secret> (Google Secret Manager), doppler:<project>/<config>; a new key needs no restart"`
	SourceURL         string        `env:"OPENAI_KEY_SOURCE_URL" eg:"https://vpce-1234.secretsmanager.eu-central-1.vpce.amazonaws.com" desc:"the address of that source, where it is not the vendor's own: https, or http on this machine"`
	KeyRefresh        time.Duration `env:"KEY_REFRESH" envDefault:"1m" min:"1s" max:"24h" desc:"how often they are fetched again"`
	DopplerToken      secret.String `env:"DOPPLER_TOKEN" desc:"with doppler: a service token of that config"`
	BaseURL           string        `env:"OPENAI_BASE_URL" envDefault:"https://api.openai.com/v1" desc:"where OpenAI is: https, or http on this machine only"`
	Organization      string        `env:"OPENAI_ORGANIZATION" eg:"org-abc123" desc:"the organisation to bill, if the key has several"`
	Project           string        `env:"OPENAI_PROJECT" eg:"proj_abc123" desc:"the project to bill, if the key has several"`
	UpstreamTimeout   time.Duration `env:"UPSTREAM_TIMEOUT" envDefault:"60s" min:"100ms" max:"30m" desc:"for a whole answer; half of it for the first byte of a stream, and of the text API's answers"`
	StreamIdleTimeout time.Duration `env:"STREAM_IDLE_TIMEOUT" envDefault:"60s" min:"100ms" max:"30m" desc:"the longest silence in a stream"`
	StreamMax         time.Duration `env:"STREAM_MAX" envDefault:"10m" min:"100ms" max:"6h" desc:"the longest stream"`
}

// Text is what a prompt is sent with. The client has no say in it.
type Text struct {
	Model           string   `env:"OPENAI_MODEL" envDefault:"gpt-6-luna" desc:"the model that answers"`
	SystemPrompt    string   `env:"SYSTEM_PROMPT" envDefault:"You are a helpful assistant." desc:"what the model is told before the prompt; also for /api/chat and /api/completion"`
	MaxOutputTokens int      `env:"MAX_OUTPUT_TOKENS" envDefault:"150" min:"1" max:"128000" desc:"the longest answer, reasoning included; at least 1024 when the model reasons"`
	MaxPromptChars  int      `env:"MAX_PROMPT_CHARS" envDefault:"300" min:"1" max:"1000000" desc:"the longest prompt, in characters, and each message of a user on /api/chat"`
	StripHTML       bool     `env:"STRIP_HTML" envDefault:"true" oneof:"true false" desc:"take HTML tags out of prompts; false for apps about code"`
	Temperature     *float64 `env:"TEMPERATURE" min:"0" max:"2" eg:"0.7" desc:"how freely the model chooses its words; unset leaves it to the model, and a model that reasons takes none"`
	ReasoningEffort string   `env:"REASONING_EFFORT" envDefault:"none" oneof:"none minimal low medium high xhigh" desc:"how much the model reasons before it answers, and on /v1 where the client does not say; sent to models that take it"`
}

// V1 is what the OpenAI-compatible API adds to what the client asks. Once loaded,
// Models are those in force; moderations have the free ones besides.
type V1 struct {
	Models            Models `env:"MODELS" eg:"gpt-6-luna,text-embedding-3-small" desc:"the models that clients may ask for on /v1, by their exact ids, separated by commas; unset means OPENAI_MODEL, and in dev text-embedding-3-small and omni-moderation-latest too; free moderation models need not be named"`
	MaxOutputTokensV1 int    `env:"MAX_OUTPUT_TOKENS_V1" envDefault:"2048" min:"16" max:"128000" desc:"the longest answer on /v1, /api/chat and /api/completion, reasoning included; clients may ask for less"`
	SystemPromptV1    string `env:"SYSTEM_PROMPT_V1" eg:"Answer in English" desc:"told to the model on /v1 before all that the client says, which cannot remove it; /api/chat and /api/completion have SYSTEM_PROMPT; unset means nothing"`
}

// Identity says whose tokens to believe: those signed with a secret, or those of
// a provider's key set, never both.
type Identity struct {
	Secret            secret.String `env:"JWT_SECRET" must:"required, or AUTH_PROVIDER" desc:"the secret that your own server signs its users' tokens with (HS256), at least 32 random bytes; this or a provider's key set, not both"`
	Provider          string        `env:"AUTH_PROVIDER" oneof:"firebase supabase auth0 clerk cognito oidc" eg:"firebase" desc:"whose tokens they are instead: firebase, supabase, auth0, clerk, cognito, or oidc (any other, by its JWT_ISSUER)"`
	FirebaseProjectID string        `env:"FIREBASE_PROJECT_ID" eg:"my-app-12345" desc:"with firebase: the project's id"`
	SupabaseURL       string        `env:"SUPABASE_URL" eg:"https://abcdefgh.supabase.co" desc:"with supabase: the project's address"`
	Auth0Domain       string        `env:"AUTH0_DOMAIN" eg:"example.eu.auth0.com" desc:"with auth0: the tenant's domain (and JWT_AUDIENCE)"`
	ClerkIssuer       string        `env:"CLERK_ISSUER" eg:"https://example.clerk.accounts.dev" desc:"with clerk: the Frontend API's address"`
	CognitoIssuer     string        `env:"COGNITO_ISSUER" eg:"https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc" desc:"with cognito: the user pool's address"`
	CognitoClientID   string        `env:"COGNITO_CLIENT_ID" eg:"1example23456789" desc:"with cognito: the app client's id"`
	JWKSURL           string        `env:"JWT_JWKS_URL" eg:"https://login.example.com/.well-known/jwks.json" desc:"a key set at another address than the provider's (and JWT_ISSUER)"`
	Issuer            string        `env:"JWT_ISSUER" eg:"https://login.example.com/" desc:"the iss that a token must have"`
	Audience          []string      `env:"JWT_AUDIENCE" eg:"my-api" desc:"the aud that a token must have; of several, separated by commas, one"`
	UserClaim         string        `env:"JWT_USER_CLAIM" envDefault:"sub" desc:"the claim that says who the user is; a.b reads b within a"`
	PlanClaim         string        `env:"JWT_PLAN_CLAIM" envDefault:"plan" desc:"the claim that says which plan of PLANS_FILE the user is on; a.b reads b within a"`
	MaxLifetime       time.Duration `env:"JWT_MAX_LIFETIME" envDefault:"24h" min:"1m" max:"720h" desc:"the longest time that a token may still be valid"`
}

// Limits says how often. Rates are <number>/<duration>.
type Limits struct {
	RateIP            limit.Rate `env:"RATE_LIMIT_IP" envDefault:"20/15m" dev:"600/15m" desc:"POSTs that can spend, per client address, of which a server that asks for all its users has one; <number>/<duration>, or off"`
	RateUser          limit.Rate `env:"RATE_LIMIT_USER" envDefault:"100/1h" desc:"the same, per signed-in user"`
	MaxStreamsPerUser Cap        `env:"MAX_STREAMS_PER_USER" envDefault:"5" min:"1" max:"100000" desc:"streams at once, per signed-in user; a number, or off"`
	Breaker           limit.Rate `env:"BREAKER" envDefault:"3/10s" desc:"how many calls may fail, and leave charges whose cost nobody proves, before OpenAI is left alone for two seconds; <number>/<duration>, or off"`
}

// Money says how much. Once loaded, the budgets are those in force: one that was
// left out is worked out, and policy.NoCap is none.
type Money struct {
	BudgetMonth     Budget            `env:"BUDGET_MONTH" envDefault:"20" desc:"the most that OpenAI may bill in a calendar month (UTC): dollars without a $, which shells and .env take for a variable, or off"`
	BudgetDay       Budget            `env:"BUDGET_DAY" eg:"5" desc:"the same for a day; unset means a fifth of the month"`
	BudgetUserDay   Budget            `env:"BUDGET_USER_DAY" envDefault:"1" desc:"the same for one user and a day"`
	BudgetUserMonth Budget            `env:"BUDGET_USER_MONTH" eg:"10" desc:"the same for one user and a month; unset means as much as all together"`
	BudgetSoft      Percents          `env:"BUDGET_SOFT" envDefault:"50%,80%,100%" desc:"the parts of a budget that are told when they are spent, once in a day or month; or off"`
	PlansFile       string            `env:"PLANS_FILE" eg:"plans.json" desc:"a file (JSON) with what users may do, by the plan that their token names; unset puts all on one plan, which is what stands here"`
	PricesFile      string            `env:"PRICES_FILE" eg:"prices.json" desc:"a file (JSON) with prices that replace or join the reviewed ones; a model without a price is not asked"`
	PriceMultiplier policy.Multiplier `env:"PRICE_MULTIPLIER" eg:"1.1" desc:"by how much OPENAI_BASE_URL is dearer than api.openai.com; needed only where that is not known: it is for OpenAI's own hosts and for this machine"`
	Hangup          string            `env:"HANGUP" envDefault:"cancel" oneof:"cancel drain" desc:"what happens to an answer whose client has gone: cancel stops it and charges the most that it can have cost; drain reads it to its end, where its true cost stands"`
	DrainTokens     int               `env:"DRAIN_TOKENS" envDefault:"1024" min:"1" max:"128000" desc:"the longest rest of an answer that is drained, in tokens"`
	DataDir         string            `env:"DATA_DIR" envDefault:"./data" desc:"the folder that keeps what was spent, on a disk that outlives the program; in dev a temporary one, if this is unset"`
	LedgerEphemeral string            `env:"LEDGER_EPHEMERAL" oneof:"accept" desc:"the word accept says in full that DATA_DIR may be gone with the next start, so that budgets hold from start to start only"`
	ExposeBudget    bool              `env:"EXPOSE_BUDGET" envDefault:"false" oneof:"true false" desc:"tell clients how many dollars are left under the tightest budget, theirs or everyone's, in X-Budget-Remaining"`
}

// Mode is the command the configuration is for.
type Mode int

// Serve is production and refuses whatever is unsafe or missing. Dev is for
// trying: it needs no key and no secret, and allows every origin on this
// machine. Nothing a variable says can turn one into the other.
const (
	Serve Mode = iota
	Dev
)

// Source says where a value came from. A secret read from a file has the source
// "file <NAME>_FILE".
type Source string

// The other three.
const (
	FromDefault     Source = "default"
	FromEnvironment Source = "environment"
	FromDotEnv      Source = ".env"
)

// Problem is one reason not to start.
type Problem struct {
	Name string // the variable (or file) it is about
	Text string // what is wrong with it, to be read after "Name: "
	Fix  string // the line to write instead, unless Text says where to write what; never a secret
}

// Loaded is what came of it. Config may be used if there are no Problems.
type Loaded struct {
	Config   Config
	Problems []Problem
	Warnings []string

	// Sources has every setting, and every <NAME>_FILE that is set.
	Sources map[string]Source

	mode  Mode
	notes map[string]string                  // by setting: what Print says beside the source
	pick  func(name string) (string, Source) // a function holds nothing that could be printed
}

// Variable is a variable that is no setting of ours: a vault's own tools have theirs
// (AWS_REGION). "" if it is not set.
func (l *Loaded) Variable(name string) string {
	value, _ := l.pick(name)
	return value
}

// Load reads the settings from environ ("NAME=value", as os.Environ has them)
// and, where that says nothing, from the file .env in dir. It leaves the
// process's own environment alone. Paths are relative to dir.
func Load(mode Mode, environ []string, dir string) *Loaded {
	return LoadOn("/proc/self/mountinfo", mode, environ, dir)
}

// LoadOn is Load on a machine whose disks are mounted as the file mountinfo says
// (proc_pid_mountinfo(5)), so that it can be tried without mounting any.
func LoadOn(mountinfo string, mode Mode, environ []string, dir string) *Loaded {
	l := &Loaded{Sources: map[string]Source{}, mode: mode, notes: map[string]string{}}
	now := time.Now()
	in := l.gather(environ, dir)
	l.pick = in.pick
	l.parse(in)
	l.check(in, dir)
	l.checkModel(now)
	l.checkMoney(dir, now)
	l.checkDataDir(in, dir, mountinfo)
	l.checkDotEnv(in, dir)
	l.checkNames(in)

	rank := map[string]int{}
	for i, s := range settings(&l.Config) {
		rank[s.name] = i - 1000 // what is no setting comes last
	}
	slices.SortStableFunc(l.Problems, func(a, b Problem) int { return cmp.Compare(rank[a.Name], rank[b.Name]) })
	return l
}

// FromShell reports whether name's value comes from the process's environment,
// directly or by a <NAME>_FILE that stands there.
func (l *Loaded) FromShell(name string) bool {
	if l.Sources[name] == fromFile(name) {
		name += "_FILE"
	}
	return l.Sources[name] == FromEnvironment
}

func (l *Loaded) problem(name, text, fix string) {
	if !strings.HasPrefix(text, name+" and ") {
		text = strings.TrimPrefix(strings.TrimPrefix(text, name+" "), name+": ") // a sentence may begin with it
	}
	l.Problems = append(l.Problems, Problem{name, text, fix})
}

// note is shown by Print beside the source of name's value.
func (l *Loaded) note(name, text string) { l.notes[name] = text }

func (l *Loaded) warn(text string) { l.Warnings = append(l.Warnings, text) }

// sound reports whether nothing is wrong with name so far, so that one mistake
// is not reported twice.
func (l *Loaded) sound(name string) bool {
	return !slices.ContainsFunc(l.Problems, func(p Problem) bool { return p.Name == name })
}

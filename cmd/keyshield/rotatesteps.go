package main

import (
	"fmt"
	"strings"

	"keyshield/internal/admin"
)

// storage is where a server's keys stand, and how a new one gets there.
type storage struct {
	put     string // how to put the new key first
	out     string // how to take the old one out
	reloads bool   // the server reads it again; else it must be restarted
	again   string // what makes the server look, as a question asks it
}

// placeOf reads it off the settings in force.
func placeOf(settings []admin.Setting, keys []admin.Key) (at storage, project string) {
	of := map[string]admin.Setting{}
	for _, s := range settings {
		of[s.Name] = s
	}
	if p := of["OPENAI_PROJECT"]; p.Source != "default" {
		project = p.Value
	}
	one, more, vault := of["OPENAI_API_KEY"], of["OPENAI_API_KEYS"], of["OPENAI_KEY_SOURCE"]
	switch {
	case vault.Value != "" && vault.Source != "default" && vault.Source != "":
		kind, name, _ := strings.Cut(vault.Value, ":")
		return vaultPlace(kind, name), project
	case strings.HasPrefix(one.Source, "file "):
		return filePlace("OPENAI_API_KEY_FILE", keys), project
	case strings.HasPrefix(more.Source, "file "):
		return filePlace("OPENAI_API_KEYS_FILE", keys), project
	}
	where := "the environment of the service: your platform's settings, the unit file, the compose file"
	for _, s := range []admin.Setting{one, more} {
		if s.Source == ".env" {
			where = "the file .env"
		}
	}
	first, second := "OPENAI_API_KEY", "OPENAI_API_KEYS"
	text := fmt.Sprintf("Its place is %s.\nPut the new key into %s. Until all is well the old one may stand behind it, in %s.\nThen restart the server: what it reads there does not change while it runs. Answers under way are finished first, with the old key.", where, first, second)
	if one.Source == "default" && more.Source != "default" && more.Source != "" {
		text = fmt.Sprintf("Its place is %s.\nPut the new key first in %s, before the old one and a comma.\nThen restart the server: what it reads there does not change while it runs. Answers under way are finished first, with the old key.", where, second)
	}
	return storage{
		put:   text,
		out:   "Take the old key out of " + second + ", if it stands there. It goes with the next restart; it is not used any more.",
		again: "was the server restarted",
	}, project
}

func filePlace(variable string, keys []admin.Key) storage {
	path := "the file that " + variable + " names"
	for _, k := range keys {
		if name, ok := strings.CutPrefix(k.Source, "file "); ok {
			path = plainLine(name)
			break
		}
	}
	return storage{
		put:     fmt.Sprintf("Its place is %s.\nWrite a new file beside it, the new key on the first line and the old one on the second, for nobody else to read (chmod 600, with the server's user as its owner), and move it over the old one with mv. The server sees it within seconds.", path),
		out:     fmt.Sprintf("Take the line of the old key out of %s, in the same way.", path),
		reloads: true, again: "is the file in its place",
	}
}

func vaultPlace(kind, name string) storage {
	word := shellWord(name)
	at := storage{reloads: true, again: "is it the newest version of the secret"}
	switch kind {
	case "aws-sm":
		at.put = fmt.Sprintf("Its place is the secret %s in AWS Secrets Manager.\nWrite the new key on the first line of a file that only you can read, and the old one on the second, and then:\n  aws secretsmanager put-secret-value --secret-id %s --secret-string file://<the file>\nDelete the file. If the secret is a JSON object, the new key is the first of its \"keys\".", plainLine(name), word)
		at.out = fmt.Sprintf("Put a version into the secret %s that has the new key alone, in the same way.", plainLine(name))
	case "gcp-sm":
		at.put = fmt.Sprintf("Its place is %s in Google Secret Manager.\nWrite the new key on the first line of a file that only you can read, and the old one on the second, and then:\n  gcloud secrets versions add %s --data-file=<the file>\nDelete the file.", plainLine(name), word)
		at.out = fmt.Sprintf("Add a version to %s that has the new key alone, in the same way, and disable the versions before it.", plainLine(name))
	default:
		project, config, _ := strings.Cut(name, "/")
		to := fmt.Sprintf("doppler secrets set OPENAI_API_KEYS --silent --project %s --config %s", shellWord(project), shellWord(config))
		at.put = fmt.Sprintf("Its place is Doppler, project %s, config %s.\nThis asks for the value: type the new key, a line break, the old one.\n  %s\nIf the config has OPENAI_API_KEY as well, put the new one there too: it comes first.", plainLine(project), plainLine(config), to)
		at.out = "Set it to the new key alone, in the same way."
	}
	return at
}

// make tells how to make a key.
func (r *rotation) make() step {
	project := "the project that is this server's own (which is best no other program's)"
	if r.project != "" {
		project = "the project " + plainLine(r.project)
	}
	return step{
		title: "make a new key",
		text: "On https://platform.openai.com/api-keys, in " + project + `.
Name it after this server and today. Permissions: Restricted, and of them only
  Models              Read     (a new key is tried by listing models before it takes over)
  Model capabilities  Request  (the group's own switch, not only those below it)
and None for everything else. Copy it once; OpenAI does not show it again.`,
	}
}

func (r *rotation) put() step {
	s := step{title: "put it first where the keys of this server come from", text: r.place.put, check: r.takenOver}
	if r.place.reloads {
		s.text += "\nkeyshield keys --reload" + afar(r.server) + " has it read at once."
	}
	s.text += "\nThen keyshield keys" + afar(r.server) + " must show a new fingerprint as active. If the new key does not work, the old ones stay in force."
	return s
}

func revokeOld(how string) step {
	return step{title: "revoke the old key at OpenAI", text: "On https://platform.openai.com/api-keys: " + how}
}

func (r *rotation) last() step {
	return step{
		title: "see that nobody has noticed",
		text:  "keyshield audit --since 1h --outcome failed" + afar(r.server) + " must have nothing new, and keyshield keys" + afar(r.server) + " must show the new one as active.",
		check: r.unharmed,
	}
}

// quarterly is the change that nobody notices.
func (r *rotation) quarterly() []step {
	return []step{
		r.make(), r.put(),
		{title: "take the old key out", text: r.place.out, check: r.takenOut},
		revokeOld("delete it. Its name and last use are shown there.\nNot before the new one is in use: calls under the old one would fail."),
		r.last(),
	}
}

// urgent is the change of a key that is in wrong hands: what stops the loss comes first.
func (r *rotation) urgent() []step {
	at := afar(r.server)
	return []step{
		{
			title: "stop the loss, if money is going just now",
			text: "Delete the key on https://platform.openai.com/api-keys at once. Until the new one is in its place everybody here gets a 502, which costs less than a thief.\n" +
				"If instead users' tokens are misused, and the key is safe: keyshield disable --user <id> --why …" + at + ", or --everything.\n" +
				"If nothing is spent right now, skip this: with the steps below nobody notices.",
		},
		r.make(), r.put(),
		revokeOld("delete every key of the project but the new one. At once: whoever has it spends until then."),
		{title: "take the old key out", text: r.place.out, check: r.takenOut},
		{
			title: "find out what it cost",
			text: "keyshield audit --summary" + at + " says what went through here, keyshield reconcile" + at + " what OpenAI has billed beyond it. OpenAI's books are late by hours: compare again tomorrow.\n" +
				"On https://platform.openai.com/settings/organization/limits look at the project's spend limit.",
		},
		{
			title: "find the leak",
			text: "Where has the key been besides this server: a repository and its history, a build log, a chat, a laptop, a front end? A key that leaks once leaks again from the same place. Change what else lay beside it: JWT_SECRET, ADMIN_TOKEN.\n" +
				"keyshield audit verify" + at + " says whether the audit log is as it was written.",
		},
		r.last(),
	}
}

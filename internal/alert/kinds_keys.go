package alert

import (
	"fmt"
	"strconv"
	"time"
)

// Keys are named by their fingerprint; never is a byte of one in an event.

// KeyRotated: another key is in use from now on. Source says where it came from.
func KeyRotated(fingerprint, source, why string) Event {
	return Event{
		Kind: KindKeyRotated, Severity: Warning, Title: "OpenAI is asked with another key now",
		Text: "Calls under way finish with the old one. If you did not change it, find out who did: keyshield keys",
		Key:  fingerprint, Fields: key(fingerprint, source, why),
	}
}

// KeyRejected: OpenAI refuses a key.
func KeyRejected(fingerprint, source, why string) Event {
	return Event{
		Kind: KindKeyRejected, Severity: Critical, Title: "OpenAI refuses a key",
		Text: "It was revoked, or belongs to nothing any more; it is not used until it works again. If you did not revoke it, treat it as leaked. Replace it: keyshield rotate --incident",
		Key:  fingerprint, Fields: key(fingerprint, source, why),
	}
}

// KeyRecovered ends KeyRejected.
func KeyRecovered(fingerprint, source string) Event {
	return Event{
		Kind: KindKeyRecovered, Severity: Warning, Title: "OpenAI accepts a key again that it had refused",
		Text: "It stands by. See which key is in use: keyshield keys",
		Key:  fingerprint, Fields: key(fingerprint, source, ""),
	}
}

// NoKeyLeft: OpenAI refuses every key, so that nothing is asked.
func NoKeyLeft(why string) Event {
	return Event{
		Kind: KindNoKeyLeft, Severity: Critical, Title: "No key for OpenAI is left: every request is refused",
		Text:   "OpenAI refuses all of them. Make a new one at platform.openai.com and put it where the others are; if they stand in the environment, restart the server then. If the ones there are good, each is tried once a minute, and at once with: keyshield keys --reload. Step by step: keyshield rotate --incident",
		Fields: key("", "", why),
	}
}

// ProviderQuota: OpenAI itself says that there is no money left (insufficient_quota);
// why is in its words.
func ProviderQuota(why string) Event {
	return Event{
		Kind: KindProviderQuota, Severity: Critical, Title: "OpenAI's own limit or credit is used up: it refuses calls",
		Text:   "Our budgets have nothing to do with it, and another key of the same project meets the same. At platform.openai.com look at the organisation's credit and at the limits of the project: add credit, or raise the limit. If you do not know what it went to, compare OpenAI's books with ours: keyshield reconcile",
		Fields: key("", "", why),
	}
}

// ProviderRefuses: OpenAI knows the key, and refuses calls under it all the same (401
// or 403); why is in its words.
func ProviderRefuses(why string) Event {
	return Event{
		Kind: KindProviderRefuses, Severity: Critical, Title: "OpenAI refuses calls, although it knows the key",
		Text:   "The key stays in use: it was not revoked. It may lack a permission, the project may not use the model, or OpenAI does not serve this server's country or address. At platform.openai.com look at the key's permissions and at the limits of the project. See which calls are refused: keyshield audit --since 1h",
		Fields: key("", "", why),
	}
}

// KeyUsedElsewhere: OpenAI's own books for a window say more than ours.
func KeyUsedElsewhere(window string, theirs, ours, difference fmt.Stringer) Event {
	return Event{
		Kind: KindKeyElsewhere, Severity: Critical,
		Title: "The key is used elsewhere: OpenAI counts " + difference.String() + " more than went through here",
		Text:  "Someone else has the key, or another program shares the project. Revoke it now and take another: keyshield rotate --incident",
		Key:   window + "/" + theirs.String(),
		Fields: [][2]string{
			{"Window", window}, {"OpenAI counts", theirs.String()}, {"Went through here", ours.String()}, {"Difference", difference.String()},
		},
	}
}

// Reconciled: OpenAI's own books agree with ours.
func Reconciled(window string, theirs, ours fmt.Stringer) Event {
	return Event{
		Kind: KindReconciled, Severity: Info, Title: "OpenAI's books agree with ours for " + window,
		Text: "Nobody else uses the key. Nothing needs to be done.", Key: window,
		Fields: [][2]string{{"OpenAI counts", theirs.String()}, {"Went through here", ours.String()}},
	}
}

// KeyOld: a key is in use for more than 90 days. It is told once a month.
func KeyOld(fingerprint, source string, since, now time.Time) Event {
	days := int(now.Sub(since).Hours() / 24)
	e := Event{
		Kind: KindKeyOld, Severity: Warning, Title: fmt.Sprintf("A key for OpenAI is %d days old", days),
		Text: "Change it every 90 days: nobody knows who has seen it since. Step by step: keyshield rotate",
		Key:  fingerprint + "/" + strconv.Itoa(days/30), Fields: key(fingerprint, source, ""),
	}
	e.Fields = append(e.Fields, [2]string{"In use since", since.UTC().Format(time.DateOnly)})
	return e
}

// SourceFailed: where the keys come from does not answer, or with rubbish.
func SourceFailed(source, why string) Event {
	return Event{
		Kind: KindSourceFailed, Severity: Warning, Title: "Keys cannot be read from " + source,
		Text: "The last good ones stay in use, so that nothing is refused yet; a new key is not taken up. See the keys: keyshield keys",
		Key:  source, Fields: [][2]string{{"Source", source}, {"Why", why}},
	}
}

// SourceBack ends SourceFailed.
func SourceBack(source string) Event {
	return Event{
		Kind: KindSourceBack, Severity: Info, Title: "Keys can be read from " + source + " again",
		Text: "Nothing needs to be done. See the keys: keyshield keys",
		Key:  source, Fields: [][2]string{{"Source", source}},
	}
}

func key(fingerprint, source, why string) [][2]string {
	var fields [][2]string
	for _, f := range [][2]string{{"Key", fingerprint}, {"Source", source}, {"Why", why}} {
		if f[1] != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

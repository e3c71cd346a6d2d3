package alert_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/alert"
)

func mailing(t *testing.T, s *mailServer, change func(*alert.Email)) *alert.Alerts {
	t.Helper()
	o := alert.Options{Email: s.email()}
	if change != nil {
		change(o.Email)
	}
	alert.Trusting(&o, s.roots)
	return start(t, o)
}

func TestMailArrivesOverEveryKindOfConnection(t *testing.T) {
	for name, c := range map[string]struct {
		opts   mailOptions
		change func(*alert.Email)
		secure bool
		user   string
	}{
		"STARTTLS":               {mailOptions{}, nil, true, mailUser},
		"AUTH LOGIN alone":       {mailOptions{auth: "LOGIN"}, nil, true, mailUser},
		"TLS":                    {mailOptions{implicit: true}, nil, true, mailUser},
		"no AUTH":                {mailOptions{auth: "-"}, noUser, true, ""},
		"none, to loopback":      {mailOptions{noStartTLS: true}, func(e *alert.Email) { noUser(e); e.Security = alert.NoTLS }, false, ""},
		"a server that hangs up": {mailOptions{hangUp: true}, nil, true, mailUser},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMailServer(t, c.opts)
			a := mailing(t, s, c.change)
			for _, r := range a.Test(t.Context()) {
				if r.Err != nil {
					t.Fatalf("%s: %v", r.Receiver, r.Err)
				}
			}
			got := s.messages()
			slices.SortFunc(got, func(a, b message) int { return strings.Compare(a.to, b.to) })
			if len(got) != 2 || got[0].to != "ana@example.com" || got[1].to != "bob@example.com" {
				t.Fatalf("received %+v, want one for each address", got)
			}
			for _, m := range got {
				if m.secure != c.secure || m.user != c.user || m.from != "alerts@example.com" {
					t.Errorf("secure %v, user %q, from %q", m.secure, m.user, m.from)
				}
			}
		})
	}
}

func noUser(e *alert.Email) { e.Username, e.Password = "", alert.Email{}.Password }

func TestMailSaysWhatHappened(t *testing.T) {
	s := newMailServer(t, mailOptions{})
	a := mailing(t, s, func(e *alert.Email) { e.To = e.To[:1] })
	e := alert.UserDisabled(alert.User{Key: "k", ID: "jürgen"}, "watch", "412 requests in a minute", time.Time{})
	e.At = time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	a.Send(e)
	eventually(t, "a message", func() bool { return a.State()[0].Sent == 1 })
	m := s.messages()[0]
	if want := "[keyshield] jürgen is disabled until you enable it again"; m.subject != want {
		t.Errorf("subject %q, want %q", m.subject, want)
	}
	want := "jürgen is disabled until you enable it again\n\n" + e.Text + "\n\n" +
		"User: jürgen\nBy: watch\nWhy: 412 requests in a minute\nSeverity: critical\nKind: user_disabled\nTime: 2026-11-22 05:00:00 UTC\n\n-- \nkeyshield\n"
	if diff := cmp.Diff(want, m.body); diff != "" {
		t.Errorf("body (-want +got)\n%s", diff)
	}
	at, err := m.header.Date()
	if err != nil || !at.Equal(e.At) {
		t.Errorf("date %v, %v", at, err)
	}
	id := m.header.Get("Keyshield-Event-Id")
	if got := m.header.Get("Message-Id"); id == "" || got != "<"+id+"@example.com>" {
		t.Errorf("Message-ID %q, want it made of the event's id %q", got, id)
	}
	if m.header.Get("Auto-Submitted") != "auto-generated" || m.header.Get("Importance") != "high" {
		t.Errorf("header %v", m.header)
	}
	if ct := m.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("Content-Type %q", ct)
	}
}

func TestNoHeaderCanBeForged(t *testing.T) {
	plain, forged := newMailServer(t, mailOptions{}), newMailServer(t, mailOptions{})
	for s, name := range map[*mailServer]string{plain: "alice", forged: "x\r\nBcc: eve@example.com\r\n\r\n<script>\r\n.\r\nMAIL FROM:<eve@example.com>\u2028\x00 =?utf-8?q?=0d=0aBcc:_e?="} {
		o := alert.Options{Email: s.email(), Service: name}
		alert.Trusting(&o, s.roots)
		a := start(t, o)
		a.Send(alert.UserDisabled(alert.User{Key: name, Issuer: name, ID: name}, name, name, time.Time{}))
		eventually(t, "two messages", func() bool { return len(s.messages()) == 2 })
		a.Close()
	}
	names := func(h mail.Header) (names []string) {
		for name := range h {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	want := names(plain.messages()[0].header)
	for _, m := range forged.messages() {
		if diff := cmp.Diff(want, names(m.header)); diff != "" {
			t.Errorf("other headers than a harmless name makes (-want +got)\n%s", diff)
		}
		if strings.Contains(m.to+m.from+m.header.Get("To"), "eve") {
			t.Errorf("to %q from %q", m.to, m.from)
		}
	}
	if strings.Contains(forged.said(), "eve@example.com") {
		t.Errorf("a name became a command:\n%s", forged.said())
	}
}

// Whoever sits in between can cut STARTTLS out of the server's answer.
func TestNothingIsSaidWithoutTLS(t *testing.T) {
	for name, opts := range map[string]mailOptions{
		"no STARTTLS":         {noStartTLS: true},
		"unknown certificate": {stranger: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMailServer(t, opts)
			for _, r := range mailing(t, s, nil).Test(t.Context()) {
				if r.Err == nil || !strings.Contains(r.Err.Error(), "STARTTLS") && !strings.Contains(r.Err.Error(), "certificate") {
					t.Errorf("%s: %v", r.Receiver, r.Err)
				}
			}
			if said := s.said(); strings.Contains(said, "AUTH") || strings.Contains(said, "MAIL") || len(s.messages()) > 0 {
				t.Errorf("said in the clear:\n%s", said)
			}
		})
	}
}

func TestOneBadAddressKeepsNothingFromTheOthers(t *testing.T) {
	s := newMailServer(t, mailOptions{refuse: "ana@example.com"})
	a := mailing(t, s, nil)
	a.Send(critical(1))
	eventually(t, "both tries", func() bool { s := a.State(); return s[0].Failed > 0 && s[1].Sent == 1 })
	state := a.State()
	if state[0].Name != "email:ana@example.com" || !strings.Contains(state[0].Error, "550") {
		t.Errorf("state %+v, want the server's reason", state[0])
	}
	if strings.Contains(fmt.Sprintf("%+v", state), "test-password") || strings.Contains(state[0].Error, "dGVzdC1wYXNz") {
		t.Errorf("the server repeats the password, and so do we: %+v", state)
	}
}

func TestWrongMailPasswordIsSaidWithoutIt(t *testing.T) {
	s := newMailServer(t, mailOptions{})
	a := mailing(t, s, func(e *alert.Email) { e.Username = "someone" })
	for _, r := range a.Test(t.Context()) {
		if r.Err == nil || !strings.Contains(r.Err.Error(), "535") || strings.Contains(r.Err.Error(), mailPassword) {
			t.Errorf("%s: %v", r.Receiver, r.Err)
		}
	}
}

func TestSilentMailServerIsLeftInTime(t *testing.T) {
	s := newMailServer(t, mailOptions{greeting: func(conn net.Conn) { io.Copy(io.Discard, conn) }})
	a := mailing(t, s, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	for _, r := range a.Test(ctx) {
		if r.Err == nil || r.Err.Error() != "no answer in time" {
			t.Errorf("%s: %v", r.Receiver, r.Err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("waited %v", took)
	}
}

// A line without an end must not fill the memory.
func TestTalkativeMailServerIsCutShort(t *testing.T) {
	said := make(chan int, 2)
	s := newMailServer(t, mailOptions{greeting: func(conn net.Conn) {
		line := bytes.Repeat([]byte("2"), 64<<10)
		total := 0
		for {
			n, err := conn.Write(line)
			if total += n; err != nil {
				said <- total
				return
			}
		}
	}})
	a := mailing(t, s, func(e *alert.Email) { e.To = e.To[:1] })
	start := time.Now()
	if err := a.Test(t.Context())[0].Err; err == nil {
		t.Error("it was believed")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("listened for %v", took)
	}
	if total := <-said; total > 32<<20 {
		t.Errorf("%d bytes were taken", total)
	}
}

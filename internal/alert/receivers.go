package alert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"

	"keyshield/internal/secret"
)

// minSecret is as long as what it makes, as with a token's signature.
const minSecret = 32

// receivers makes one for each that is named, or says everything that is wrong.
func receivers(opts *Options) (all []*receiver, err error) {
	var problems []error
	add := func(name, address string, deliver func(context.Context, *notice) error) {
		all = append(all, &receiver{name: name, address: address, deliver: deliver, wake: make(chan struct{}, 1)})
	}
	if !opts.Slack.IsZero() {
		host, err := checkURL(opts.Slack.Reveal())
		if err != nil {
			problems = append(problems, fmt.Errorf("the address of the Slack webhook: %w", err))
		}
		add("slack", host, slack{newPoster(opts.Slack, opts), opts.Service, opts.Redact}.deliver)
	}
	switch {
	case opts.Webhook != "":
		host, err := checkURL(opts.Webhook)
		if err != nil {
			problems = append(problems, fmt.Errorf("the webhook's address: %w", err))
		}
		if len(opts.WebhookSecret.Reveal()) < minSecret {
			problems = append(problems, fmt.Errorf("the webhook needs a secret of at least %d characters, to be told from a forger: openssl rand -hex 32 makes one", minSecret))
		}
		add("webhook", host, webhook{newPoster(secret.New(opts.Webhook), opts), opts.WebhookSecret, opts.Service, opts.Redact}.deliver)
	case !opts.WebhookSecret.IsZero():
		problems = append(problems, errors.New("there is a secret for a webhook, but no address"))
	}
	if opts.Email != nil {
		server := net.JoinHostPort(opts.Email.Host, strconv.Itoa(opts.Email.port()))
		problems = append(problems, opts.Email.problems()...)
		for _, to := range opts.Email.To {
			if address, err := mail.ParseAddress(to); err == nil {
				add("email:"+address.Address, "by "+server, mailer{opts.Email, to, opts.Service, opts.Redact, opts.roots}.deliver)
			}
		}
	}
	return all, errors.Join(problems...)
}

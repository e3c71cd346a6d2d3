package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"keyshield/internal/secret"
)

// Client asks a desk elsewhere: a running server's, over its socket or TCP.
type Client struct {
	base    string
	token   secret.String
	web     *http.Client
	version string
}

// ClientOptions say how to reach it.
type ClientOptions struct {
	Base      string        // "https://api.example.com"; over a socket any name will do
	Token     secret.String // ADMIN_TOKEN; none over a socket
	Transport http.RoundTripper
	Version   string // of this program, to be named where the other does not understand it
}

// NewClient makes a Client. Nothing is asked yet.
func NewClient(opts ClientOptions) *Client {
	return &Client{
		base: strings.TrimSuffix(opts.Base, "/"), token: opts.Token, version: opts.Version,
		web: &http.Client{
			Transport: opts.Transport,
			// Wherever it leads, the token is not for there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close lets go of the connections.
func (c *Client) Close() { c.web.CloseIdleConnections() }

// maxAnswer is far above what a server answers.
const maxAnswer = 256 << 20

// Overview is Desk.Overview.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	return fetch[Overview](ctx, c, http.MethodGet, "overview", nil, nil)
}

// Usage is Desk.Usage.
func (c *Client) Usage(ctx context.Context, q UsageQuery) (UsageReport, error) {
	return fetch[UsageReport](ctx, c, http.MethodGet, "usage", q.values(), nil)
}

// Users is Desk.Users.
func (c *Client) Users(ctx context.Context, q UsersQuery) (UserList, error) {
	return fetch[UserList](ctx, c, http.MethodGet, "users", q.values(), nil)
}

// User is Desk.User.
func (c *Client) User(ctx context.Context, name string) (UserDetail, error) {
	return fetch[UserDetail](ctx, c, http.MethodGet, "users/"+url.PathEscape(name), nil, nil)
}

// Audit is Desk.Audit.
func (c *Client) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	return fetch[AuditPage](ctx, c, http.MethodGet, "audit", q.values(), nil)
}

// ExportAudit is Desk.ExportAudit.
func (c *Client) ExportAudit(ctx context.Context, q AuditQuery, w io.Writer) error {
	body, err := c.send(ctx, http.MethodGet, "audit/export", q.values(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for lines := bufio.NewReaderSize(body, 64<<10); ; { // longer than any record
		line, err := lines.ReadSlice('\n')
		ended := err != nil && !errors.Is(err, bufio.ErrBufferFull)
		if ended {
			if told := lastWords(line); told != nil {
				return told
			}
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ended:
			return fmt.Errorf("the server's answer broke off, and is not whole: try again: %w", err)
		}
	}
}

// lastWords are the reason on the line that an answer of lines was cut off at, or nil.
// Something in between may make a proper end of the cut: it is no less of one.
func lastWords(line []byte) error {
	var told refusalBody
	if json.Unmarshal(line, &told) != nil || told.Code == "" || told.Error == "" {
		return nil
	}
	return told.refusal(http.StatusOK)
}

// VerifyAudit is Desk.VerifyAudit.
func (c *Client) VerifyAudit(ctx context.Context, anchors []string) (AuditReport, error) {
	return fetch[AuditReport](ctx, c, http.MethodGet, "audit/verify", url.Values{"anchor": anchors}, nil)
}

// Keys is Desk.Keys.
func (c *Client) Keys(ctx context.Context) (KeyList, error) {
	return fetch[KeyList](ctx, c, http.MethodGet, "keys", nil, nil)
}

// ReloadKeys is Desk.ReloadKeys.
func (c *Client) ReloadKeys(ctx context.Context) (KeyList, error) {
	return fetch[KeyList](ctx, c, http.MethodPost, "keys/reload", nil, struct{}{})
}

// Switches is Desk.Switches.
func (c *Client) Switches(ctx context.Context) (SwitchList, error) {
	return fetch[SwitchList](ctx, c, http.MethodGet, "switches", nil, nil)
}

// Disable is Desk.Disable.
func (c *Client) Disable(ctx context.Context, what DisableRequest) (DisableAnswer, error) {
	return fetch[DisableAnswer](ctx, c, http.MethodPost, "disable", nil, what)
}

// Enable is Desk.Enable.
func (c *Client) Enable(ctx context.Context, what EnableRequest) (EnableAnswer, error) {
	return fetch[EnableAnswer](ctx, c, http.MethodPost, "enable", nil, what)
}

// Settings is Desk.Settings.
func (c *Client) Settings(ctx context.Context) (SettingList, error) {
	return fetch[SettingList](ctx, c, http.MethodGet, "settings", nil, nil)
}

// WhoAmI says how the server sees this program.
func (c *Client) WhoAmI(ctx context.Context) (WhoAmI, error) {
	return fetch[WhoAmI](ctx, c, http.MethodGet, "whoami", nil, nil)
}

// Backup is Desk.Backup.
func (c *Client) Backup(ctx context.Context, w io.Writer) error { return c.copy(ctx, "backup", nil, w) }

// Seed is Desk.Seed.
func (c *Client) Seed(ctx context.Context, what SeedRequest) (SeedAnswer, error) {
	return fetch[SeedAnswer](ctx, c, http.MethodPost, "seed", nil, what)
}

// Reconcile is Desk.Reconcile.
func (c *Client) Reconcile(ctx context.Context, what ReconcileReport) (ReconcileSummary, error) {
	return fetch[ReconcileSummary](ctx, c, http.MethodPost, "reconcile", nil, what)
}

// LastReconcile is Desk.LastReconcile.
func (c *Client) LastReconcile(ctx context.Context) (LastReconcile, error) {
	return fetch[LastReconcile](ctx, c, http.MethodGet, "reconcile", nil, nil)
}

// TestAlerts is Desk.TestAlerts.
func (c *Client) TestAlerts(ctx context.Context) (AlertTest, error) {
	return fetch[AlertTest](ctx, c, http.MethodPost, "alerts/test", nil, struct{}{})
}

func fetch[A any](ctx context.Context, c *Client, method, path string, q url.Values, what any) (answer A, err error) {
	body, err := c.send(ctx, method, path, q, what)
	if err != nil {
		return answer, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("the server's answer: %w", err)
	}
	return answer, nil
}

func (c *Client) copy(ctx context.Context, path string, q url.Values, w io.Writer) error {
	body, err := c.send(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// send asks the server, and makes sure that it means the same as we do.
func (c *Client) send(ctx context.Context, method, path string, q url.Values, what any) (io.ReadCloser, error) {
	var sent io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	where := c.base + Prefix + path
	if len(q) > 0 {
		where += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, where, sent)
	if err != nil {
		return nil, err
	}
	if what != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return nil, c.silent(err)
	}
	if err := c.understood(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// silent says that nobody answers, without the address that was asked: it has what the
// question was about.
func (c *Client) silent(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if c.token.IsZero() {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	return fmt.Errorf("%s does not answer: %w; is the address right, with its port, and is it http or https?", c.base, err)
}

// understood is nil for an answer of the kind that we asked for.
func (c *Client) understood(resp *http.Response) error {
	spoken := resp.Header.Get(ProtocolHeader)
	switch {
	case spoken == "" && !c.token.IsZero():
		return c.noDesk(resp)
	case spoken != Protocol:
		return fmt.Errorf("the running server is keyshield %q, this is %q, and they do not understand each other: use the server's own program, or restart it", resp.Header.Get(VersionHeader), c.version)
	case resp.StatusCode == http.StatusOK:
		return nil
	}
	var told refusalBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&told); err != nil || told.Error == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return told.refusal(resp.StatusCode)
}

func (b refusalBody) refusal(status int) *Refusal {
	return &Refusal{Status: status, Code: b.Code, Text: b.Error, Several: b.Several, Unreadable: b.Unreadable}
}

// noDesk explains what answers from afar when it is no desk: whoever has no right
// token is told nothing.
func (c *Client) noDesk(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s has no door for this ADMIN_TOKEN: it must be the one that the server was started with, and the address that of the server itself", c.base)
	case resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%s has seen too many wrong tokens from here, and this one is wrong, too: it must be the ADMIN_TOKEN that the server was started with", c.base)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("%s leads elsewhere (%s), and a token is not sent there: say that address, if it is yours", c.base, resp.Status)
	}
	return fmt.Errorf("%s answered %s, and not as a keyshield does", c.base, resp.Status)
}

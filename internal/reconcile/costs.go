package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/secret"
)

const (
	maxPage  = 4 << 20 // bytes
	maxPages = 64
	perPage  = 31 // days; OpenAI allows 180
	askTime  = 30 * time.Second
)

// Books says where OpenAI's are, and what opens them.
type Books struct {
	BaseURL  string        // "https://api.openai.com/v1"
	AdminKey secret.String // of the organisation: an ordinary key does not open them
	Project  string        // whose costs
}

// Costs asks what was billed on each day from the day of from on, by GET
// /organization/costs (https://platform.openai.com/docs/api-reference/usage/costs).
// No error repeats what OpenAI said, or the key.
func (b Books) Costs(ctx context.Context, from time.Time) ([]Day, error) {
	web := &http.Client{Timeout: askTime, CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect }}
	query := url.Values{
		"start_time":    {strconv.FormatInt(from.Unix()/daySeconds*daySeconds, 10)},
		"bucket_width":  {"1d"},
		"limit":         {strconv.Itoa(perPage)},
		"project_ids[]": {b.Project},
	}
	var days []Day
	for range maxPages {
		body, err := b.ask(ctx, web, query)
		if err != nil {
			return nil, err
		}
		some, next, err := readPage(body)
		if err != nil {
			return nil, err
		}
		if days = append(days, some...); next == "" {
			return days, nil
		}
		query.Set("page", next)
	}
	return nil, errors.New("OpenAI's costs have no end: ask for fewer days")
}

var errRedirect = errors.New("OpenAI sent a redirect, which the admin key must not follow: is OPENAI_BASE_URL right?")

func (b Books) ask(ctx context.Context, web *http.Client, query url.Values) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(b.BaseURL, "/")+"/organization/costs?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("OPENAI_BASE_URL: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+b.AdminKey.Reveal())
	req.Header.Set("User-Agent", "keyshield")
	resp, err := web.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask OpenAI for its costs: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("OpenAI refuses the key (%d): costs are shown to an admin key of the organisation only (https://platform.openai.com/settings/organization/admin-keys)", resp.StatusCode)
	default:
		if code := resp.StatusCode; code/100 == 4 && code != http.StatusTooManyRequests { // the same question gets the same answer
			return nil, fmt.Errorf("OpenAI answered %d when asked for the costs of project %q: is --project (or OPENAI_PROJECT) right, and OPENAI_BASE_URL?", code, b.Project)
		}
		return nil, fmt.Errorf("OpenAI answered %d when asked for its costs; try again later", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err != nil {
		return nil, fmt.Errorf("read OpenAI's costs: %w", err)
	}
	if len(body) > maxPage {
		return nil, errors.New("OpenAI's costs are too long to be costs")
	}
	return body, nil
}

// readPage reads one page of daily buckets. A page that does not say where the books
// go on, or that they end, is no end: what is missing there would look like a day on
// which nothing was spent elsewhere.
func readPage(body []byte) (days []Day, next string, err error) {
	var page struct {
		Object string `json:"object"`
		Data   []struct {
			Start   int64 `json:"start_time"`
			Results []struct {
				Amount struct {
					Value    json.RawMessage `json:"value"`
					Currency string          `json:"currency"`
				} `json:"amount"`
			} `json:"results"`
		} `json:"data"`
		HasMore *bool  `json:"has_more"`
		Next    string `json:"next_page"`
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Object != "page" || page.Data == nil || page.HasMore == nil {
		return nil, "", errors.New("OpenAI's costs cannot be read: they are not the page of buckets that it documents")
	}
	for _, bucket := range page.Data {
		day := Day{Start: time.Unix(bucket.Start, 0).UTC()}
		if bucket.Start < 0 || bucket.Start > latest {
			return nil, "", errors.New("OpenAI's costs are of a day that cannot be")
		}
		for _, r := range bucket.Results {
			if r.Amount.Currency != "" && !strings.EqualFold(r.Amount.Currency, "usd") {
				return nil, "", fmt.Errorf("OpenAI's costs are not in dollars")
			}
			amount, err := dollars(r.Amount.Value)
			if err != nil {
				return nil, "", err
			}
			if day.Amount += amount; day.Amount > money.Max {
				return nil, "", errAmount
			}
		}
		days = append(days, day)
	}
	if !*page.HasMore {
		return days, "", nil
	}
	if page.Next == "" {
		return nil, "", errors.New("OpenAI's costs break off: it has more of them, and does not say where. Try again later; if that does not help, is OPENAI_BASE_URL right?")
	}
	return days, page.Next, nil
}

const latest = 1 << 36 // the year 4147

var errAmount = errors.New("an amount in OpenAI's costs cannot be")

// dollars reads a JSON number, or a text with one, as nano-dollars, rounded to the
// nearest. It comes from a float there: 0.1 may be 0.10000000000000001.
func dollars(raw []byte) (money.USD, error) {
	const long = 64
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return 0, nil
	}
	if mantissa, exponent, ok := strings.Cut(strings.ToLower(text), "e"); len(text) > long || ok && (len(exponent) > 4 || mantissa == "") {
		return 0, errAmount // big.Rat would work out 1e999999999
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xXpP") {
		return 0, errAmount
	}
	nano := new(big.Rat).Mul(exact, big.NewRat(int64(money.Dollar), 1))
	text = nano.FloatString(0)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > int64(money.Max) || n < -int64(money.Max) {
		return 0, errAmount
	}
	return money.USD(n), nil // a credit is negative
}

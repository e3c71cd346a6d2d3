package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Clock asks OpenAI for something that costs nothing and returns the time of its
// answer, whatever that says: a witness for when our own clocks disagree.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.models.String(), nil)
	if err != nil {
		return time.Time{}, err
	}
	req.Header = c.ring.any()
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask OpenAI for the time: %w", err)
	}
	resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, errors.New("ask OpenAI for the time: its answer has none")
	}
	return at, nil
}

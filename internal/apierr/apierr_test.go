package apierr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyshield/internal/apierr"
)

func TestCauseIsLoggedNotShown(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7:443: the-secret")
	err := fmt.Errorf("send: %w", apierr.New(502, "upstream_error", "Our server encountered an issue.").Because(cause))

	e := apierr.From(err)
	if strings.Contains(e.Message, "the-secret") {
		t.Errorf("public message leaks the cause: %q", e.Message)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost to the log")
	}
	if got := apierr.From(cause); got.Status != 500 || got.Code != "internal" || strings.Contains(got.Message, "dial") {
		t.Errorf("From(plain error) = %d %q, want an opaque 500", got.Status, got.Message)
	}
}

func TestRefinementsLeaveTheOriginalAlone(t *testing.T) {
	base := apierr.New(429, "rate_limited", "Too many requests.")
	refined := base.About("stream").After(3 * time.Second).ForGood().Because(errors.New("x"))
	if base.Param != "" || base.RetryAfter != 0 || base.Final || base.Unwrap() != nil {
		t.Errorf("a shared refusal was changed for everyone: %+v", base)
	}
	if refined.Param != "stream" || refined.RetryAfter != 3*time.Second || !refined.Final || refined.Unwrap() == nil {
		t.Errorf("refined = %+v, want every refinement kept", refined)
	}
}

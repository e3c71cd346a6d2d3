package ledger

import (
	"net/http"
	"time"

	"keyshield/internal/apierr"
)

// busyWait is what SDKs are told to wait when only open calls stand in the way.
const busyWait = 2 * time.Second

// exhausted is told with the true time until the window ends. now lies within it,
// whatever the clock says: one that is behind must not send anyone away for longer.
func exhausted(w Window, now time.Time) *apierr.Error {
	text := "The budget for today is used up. It starts anew at 00:00 UTC."
	if w.month {
		text = "The budget for this month is used up. It starts anew on " + w.End().Format("2 January") + " (UTC)."
	}
	wait := w.End().Sub(now)
	return apierr.New(http.StatusTooManyRequests, "budget_exhausted", "%s", text).After(max(wait, time.Second)).ForGood()
}

func busy() *apierr.Error {
	return apierr.New(http.StatusTooManyRequests, "budget_busy",
		"Too many requests are under way. Please try again in a moment.").After(busyWait)
}

func unavailable(cause error) *apierr.Error {
	return apierr.New(http.StatusServiceUnavailable, "unavailable",
		"Our system is busy right now. Please try again soon.").After(busyWait).Because(cause)
}

func userDisabled() *apierr.Error {
	return apierr.New(http.StatusForbidden, "disabled", "This account is disabled. Please contact the operator.")
}

// lookAgain is told to those who ask when a stop without an end ends.
const lookAgain = time.Minute

// paused is for everything, or all of a model. Nobody need try before it is over.
func paused(wait time.Duration) *apierr.Error {
	return apierr.New(http.StatusServiceUnavailable, "disabled",
		"The service is paused. Please try again later.").After(max(wait, time.Second)).ForGood()
}

package auth

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The context given to New ends the background refresh as well as Close does.
func TestTheContextEndsTheRefresh(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	v, err := New(ctx, jwksConfig(p), silent())
	if err != nil {
		t.Fatal(err)
	}
	awaitKeys(t, v)
	cancel()
	v.set.work.Wait()
	pass(t, v, rsToken(t, "e", keys().ec, nil))
}

func TestNoPrinterReachesTheSecret(t *testing.T) {
	v := newVerifier(t, hsConfig())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		text := fmt.Sprintf(verb, v) + fmt.Sprintf(verb, *v.want)
		for _, form := range []string{testSecret, fmt.Sprintf("%x", testSecret), strings.Trim(fmt.Sprint([]byte(testSecret)), "[]")} {
			if strings.Contains(text, form) {
				t.Errorf("%s prints the secret", verb)
			}
		}
	}
}

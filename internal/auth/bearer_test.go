package auth

import (
	"net/http"
	"testing"
)

func TestOnlyOneBearerHeaderIsTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		header http.Header
		token  string
		status int
		code   string
	}{
		"plain":            {http.Header{"Authorization": {"Bearer a.b.c"}}, "a.b.c", 0, ""},
		"small letters":    {http.Header{"Authorization": {"bearer a.b.c"}}, "a.b.c", 0, ""},
		"capitals":         {http.Header{"Authorization": {"BEARER a.b.c"}}, "a.b.c", 0, ""},
		"two spaces":       {http.Header{"Authorization": {"Bearer  a.b.c"}}, "a.b.c", 0, ""},
		"none":             {http.Header{}, "", 401, "token_missing"},
		"empty":            {http.Header{"Authorization": {""}}, "", 401, "token_missing"},
		"basic":            {http.Header{"Authorization": {"Basic YTpi"}}, "", 401, "token_missing"},
		"token alone":      {http.Header{"Authorization": {"a.b.c"}}, "", 401, "token_missing"},
		"cookie":           {http.Header{"Cookie": {"token=a.b.c"}}, "", 401, "token_missing"},
		"another header":   {http.Header{"X-Authorization": {"Bearer a.b.c"}, "Proxy-Authorization": {"Bearer a.b.c"}}, "", 401, "token_missing"},
		"no space":         {http.Header{"Authorization": {"Bearera.b.c"}}, "", 401, "token_missing"},
		"a tab":            {http.Header{"Authorization": {"Bearer\ta.b.c"}}, "", 401, "token_missing"},
		"scheme alone":     {http.Header{"Authorization": {"Bearer"}}, "", 403, "token_invalid"},
		"spaces alone":     {http.Header{"Authorization": {"Bearer   "}}, "", 403, "token_invalid"},
		"two headers":      {http.Header{"Authorization": {"Bearer a.b.c", "Bearer a.b.c"}}, "", 403, "token_invalid"},
		"bearer and basic": {http.Header{"Authorization": {"Basic YTpi", "Bearer a.b.c"}}, "", 403, "token_invalid"},
	} {
		token, err := Bearer(tc.header)
		if token != tc.token {
			t.Errorf("%s: token %q, want %q", name, token, tc.token)
		}
		if tc.status == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		refused(t, err, tc.status, tc.code)
	}
}

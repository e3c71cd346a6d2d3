package wire_test

import (
	"strings"
	"testing"

	"keyshield/internal/wire"
)

func TestErrorEnvelopeIsToldFromOtherErrors(t *testing.T) {
	for body, want := range map[string]wire.Envelope{
		`{"error":{"message":"Incorrect API key provided: test-***1234.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`: {Type: "invalid_request_error", Code: "invalid_api_key"},
		`{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`:          {Type: "insufficient_quota", Code: "insufficient_quota"},
		`{"error":{"message":"x","type":"invalid_request_error","param":"messages[0].content","code":null}}`:                                     {Type: "invalid_request_error", Param: "messages[0].content"},
		`{"error":{"message":"Service Unavailable.","type":"cf_service_unavailable","param":null,"code":503}}`:                                   {Type: "cf_service_unavailable", Code: "503"},
		`{"error":{"message":["a","b"],"type":"requests"}}`:                                                                                      {Type: "requests"},
		`{"error":{"message":"x","type":"server_error","code":{"a":1},"param":"` + strings.Repeat("p", 65) + `"}}`:                               {Type: "server_error"},
		`{"error":{"message":"x","type":"server_error","code":"<b>","param":"a b"}}`:                                                             {Type: "server_error"},
		`{"error":{"message":"x","type":"server_error","code":"` + strings.Repeat("c", 64) + `","param":"ключ"}}`:                                {Type: "server_error", Code: strings.Repeat("c", 64)},
	} {
		if got, ok := wire.ReadError([]byte(body)); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", body, got, ok, want)
		}
	}
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `<html>502 Bad Gateway</html>`, `"error"`,
		`{"error":null}`, `{"error":"invalid"}`, `{"error":{}}`, `{"error":[]}`,
		`{"error":{"type":"server_error"}}`,
		`{"error":{"message":"x"}}`, `{"error":{"message":"x","type":null}}`, `{"error":{"message":"x","type":"a b","code":"c"}}`, `{"error":{"message":"x","type":7}}`,
		`{"error":{"message":"x","type":"server_error"}} trailing`, `{"error":{"message":"x","type":"server_error"}`,
		`{"message":"x","type":"server_error"}`,
	} {
		if got, ok := wire.ReadError([]byte(body)); ok || got != (wire.Envelope{}) {
			t.Errorf("%s: %+v, %v; want no envelope", body, got, ok)
		}
	}
}

// Whatever was sent, what we log and show is a plain word.
func FuzzReadError(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"x","type":"t","param":"a[0].b","code":"c-1"}}`))
	f.Add([]byte(`{"error":{"message":"x","type":"t","param":"\u0000","code":1e9}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ok := wire.ReadError(body)
		if !ok && e != (wire.Envelope{}) || ok && e.Type == "" {
			t.Fatalf("%+v, %v", e, ok)
		}
		for _, word := range []string{e.Type, e.Code, e.Param} {
			if len(word) > 64 || strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.[]-") != "" {
				t.Fatalf("%q is no plain word", word)
			}
		}
	})
}

package config_test

import (
	"testing"

	"keyshield/internal/config"
)

// In the middle of a rotation a file has two keys, and the server must start with it.
func TestAFileMayHoldSeveralKeys(t *testing.T) {
	t.Parallel()
	const first, second = "test-key-1234567890-abcdefgh", "test-key-0987654321-hgfedcba"
	for name, content := range map[string]string{
		"one":      first + "\n",
		"two":      first + "\n" + second + "\n",
		"comments": "# the new one comes first\n" + first + "\n\n" + second + " # until Monday\n",
		"JSON":     `{"keys": ["` + first + `", "` + second + `"], "note": "rotated"}`,
	} {
		dir := t.TempDir()
		write(t, dir+"/key", content)
		l := config.Load(config.Serve, right("OPENAI_API_KEY=", "OPENAI_API_KEY_FILE="+dir+"/key"), dir)
		if len(l.Problems) > 0 {
			t.Errorf("%s: %+v", name, l.Problems)
			continue
		}
		keys := l.Config.OpenAI.AllKeys()
		if want := map[bool]int{true: 1, false: 2}[name == "one"]; len(keys) != want || !keys[0].Equal(first) || len(l.Config.KeyFiles) != 1 {
			t.Errorf("%s: %d keys in %d files, want %d in one, the first one first", name, len(keys), len(l.Config.KeyFiles), want)
		}
	}
	for name, content := range map[string]string{"empty": "# nothing\n", "rubbish": "<html>", "a word": "undefined"} {
		dir := t.TempDir()
		write(t, dir+"/key", content)
		if l := config.Load(config.Serve, right("OPENAI_API_KEY=", "OPENAI_API_KEY_FILE="+dir+"/key"), dir); len(l.Problems) == 0 {
			t.Errorf("%s is taken for a key", name)
		}
	}
}

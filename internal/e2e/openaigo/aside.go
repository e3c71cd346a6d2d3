package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"

	"github.com/openai/openai-go/v3"
)

func embed(c *client) (any, error) {
	got, err := c.Embeddings.New(c.ctx, openai.EmbeddingNewParams{
		Model: c.At.Embedding, EncodingFormat: openai.EmbeddingNewParamsEncodingFormat(c.Format),
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: c.Texts},
	})
	if err != nil {
		return nil, err
	}
	vectors := make([][]float64, len(got.Data))
	for i, d := range got.Data {
		if vectors[i] = d.Embedding; len(d.Embedding) > 0 {
			continue
		}
		// This SDK leaves base64 to its caller.
		if vectors[i], err = unpacked(d.JSON.Embedding.Raw()); err != nil {
			return nil, err
		}
	}
	return map[string]any{"vectors": vectors}, nil
}

// unpacked reads little-endian float32 from a JSON string in base64.
func unpacked(raw string) (vector []float64, err error) {
	var packed string
	if err := json.Unmarshal([]byte(raw), &packed); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || len(b)%4 != 0 {
		return nil, errors.New("the vector is not made of float32")
	}
	for ; len(b) > 0; b = b[4:] {
		vector = append(vector, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	}
	return vector, nil
}

func models(c *client) (any, error) {
	ids := []string{}
	pages := c.Models.ListAutoPaging(c.ctx)
	for pages.Next() {
		ids = append(ids, pages.Current().ID)
	}
	return map[string]any{"ids": ids}, pages.Err()
}

func model(c *client) (any, error) {
	got, err := c.Models.Get(c.ctx, c.ID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"ids": []string{got.ID}}, nil
}

func moderate(c *client) (any, error) {
	got, err := c.Moderations.New(c.ctx, openai.ModerationNewParams{
		Model: c.At.Moderation, Input: openai.ModerationNewParamsInputUnion{OfString: openai.String(c.Prompt)},
	})
	if err != nil {
		return nil, err
	}
	flagged := []bool{}
	for _, r := range got.Results {
		flagged = append(flagged, r.Flagged)
	}
	return map[string]any{"flagged": flagged}, nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/shared"
)

func (c *client) chat(messages ...openai.ChatCompletionMessageParamUnion) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: c.At.Model, Messages: messages}
}

func answer(c *client) (any, error) {
	got, err := c.Chat.Completions.New(c.ctx, c.chat(openai.UserMessage(c.Prompt)), c.extra()...)
	if err != nil {
		return nil, err
	}
	first := got.Choices[0]
	return map[string]any{"text": first.Message.Content, "finish": first.FinishReason, "tokens": got.Usage.TotalTokens}, nil
}

func turns(c *client) (any, error) {
	var messages []openai.ChatCompletionMessageParamUnion
	var texts []string
	for _, prompt := range c.Prompts {
		messages = append(messages, openai.UserMessage(prompt))
		got, err := c.Chat.Completions.New(c.ctx, c.chat(messages...))
		if err != nil {
			return nil, err
		}
		messages = append(messages, got.Choices[0].Message.ToParam())
		texts = append(texts, got.Choices[0].Message.Content)
	}
	return map[string]any{"texts": texts}, nil
}

func stream(c *client) (any, error) {
	return following(c, func(ctx context.Context) *ssestream.Stream[openai.ChatCompletionChunk] {
		return c.Chat.Completions.NewStreaming(ctx, c.chat(openai.UserMessage(c.Prompt)), c.extra()...)
	}, func(chunk openai.ChatCompletionChunk, t *told) {
		t.Usage = max(t.Usage, chunk.Usage.TotalTokens)
		if chunk.Usage.TotalTokens > 0 && c.Extra["stream_options"] != nil {
			return
		}
		first := chunk.Choices[0] // as applications do it: a chunk without choices panics here
		t.say(first.Delta.Content)
		if first.FinishReason != "" {
			t.Finish = first.FinishReason
		}
	})
}

func giveUp(c *client) (any, error) {
	ctx, cancel := c.patience()
	defer cancel()
	return c.Chat.Completions.New(ctx, c.chat(openai.UserMessage(c.Prompt)))
}

func (c *client) weather() openai.ChatCompletionNewParams {
	body := c.chat(openai.UserMessage(c.Prompt))
	body.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "weather", Description: openai.String("The weather in a city"), Strict: openai.Bool(true), Parameters: cityOnly,
	})}
	return body
}

func tools(c *client) (any, error) {
	body := c.weather()
	first, err := c.Chat.Completions.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	body.Messages = append(body.Messages, first.Choices[0].Message.ToParam())
	var calls []toolCall
	for _, t := range first.Choices[0].Message.ToolCalls {
		calls = append(calls, toolCall{t.Function.Name, json.RawMessage(t.Function.Arguments)})
		body.Messages = append(body.Messages, openai.ToolMessage(forecast(t.Function.Arguments), t.ID))
	}
	last, err := c.Chat.Completions.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"calls": calls, "text": last.Choices[0].Message.Content}, nil
}

// toolStream lets the SDK put the arguments together, which arrive in pieces.
func toolStream(c *client) (any, error) {
	s := c.Chat.Completions.NewStreaming(c.ctx, c.weather())
	defer s.Close()
	var whole openai.ChatCompletionAccumulator
	for s.Next() {
		if !whole.AddChunk(s.Current()) {
			return nil, errors.New("a chunk does not fit those before it")
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	var calls []toolCall
	for _, t := range whole.Choices[0].Message.ToolCalls {
		calls = append(calls, toolCall{t.Function.Name, json.RawMessage(t.Function.Arguments)})
	}
	return map[string]any{"calls": calls}, nil
}

func object(c *client) (any, error) {
	body := c.chat(openai.UserMessage(c.Prompt))
	body.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "person", Strict: openai.Bool(true), Schema: person},
	}
	got, err := c.Chat.Completions.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"object": json.RawMessage(got.Choices[0].Message.Content)}, nil
}

var (
	cityOnly = map[string]any{
		"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string", "description": "Its name"}},
		"required": []string{"city"}, "additionalProperties": false,
	}
	person = map[string]any{
		"type": "object", "properties": map[string]any{
			"name": map[string]any{"type": "string"}, "age": map[string]any{"type": "integer"},
			"tags": map[string]any{"type": "array", "items": map[string]any{"type": "string"}},
		},
		"required": []string{"name", "age", "tags"}, "additionalProperties": false,
	}
)

// forecast is the tool's answer; it repeats what it was asked.
func forecast(asked string) string { return `{"asked":` + asked + `,"sky":"clear"}` }

package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

func (c *client) items(input ...responses.ResponseInputItemUnionParam) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: c.At.Model, Input: responses.ResponseNewParamsInputUnion{OfInputItemList: input}}
}

func user(prompt string) responses.ResponseInputItemUnionParam {
	return responses.ResponseInputItemParamOfMessage(prompt, responses.EasyInputMessageRoleUser)
}

func (c *client) sentence() responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: c.At.Model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(c.Prompt)}}
}

func respond(c *client) (any, error) {
	got, err := c.Responses.New(c.ctx, c.sentence(), c.extra()...)
	if err != nil {
		return nil, err
	}
	return map[string]any{"text": got.OutputText(), "finish": got.Status, "tokens": got.Usage.TotalTokens}, nil
}

// respondTurns gives the answer's own items back as they came.
func respondTurns(c *client) (any, error) {
	var input []responses.ResponseInputItemUnionParam
	var texts []string
	for _, prompt := range c.Prompts {
		input = append(input, user(prompt))
		got, err := c.Responses.New(c.ctx, c.items(input...))
		if err != nil {
			return nil, err
		}
		input = append(input, again(got.Output)...)
		texts = append(texts, got.OutputText())
	}
	return map[string]any{"texts": texts}, nil
}

func again(output []responses.ResponseOutputItemUnion) (items []responses.ResponseInputItemUnionParam) {
	for _, o := range output {
		switch o.Type {
		case "message":
			m := o.AsMessage().ToParam()
			items = append(items, responses.ResponseInputItemUnionParam{OfOutputMessage: &m})
		case "function_call":
			f := o.AsFunctionCall().ToParam()
			items = append(items, responses.ResponseInputItemUnionParam{OfFunctionCall: &f})
		}
	}
	return items
}

func respondStream(c *client) (any, error) {
	var failed error
	seen, err := following(c, func(ctx context.Context) *ssestream.Stream[responses.ResponseStreamEventUnion] {
		return c.Responses.NewStreaming(ctx, c.sentence(), c.extra()...)
	}, func(event responses.ResponseStreamEventUnion, t *told) {
		switch event.Type {
		case "response.output_text.delta":
			t.say(event.Delta)
		case "response.completed":
			t.Finish, t.Usage = string(event.Response.Status), event.Response.Usage.TotalTokens
		case "response.failed":
			failed = errors.New(event.Response.Error.Message) // to this SDK an event like any other
		}
	})
	if err == nil {
		err = failed
	}
	return seen, err
}

func respondGiveUp(c *client) (any, error) {
	ctx, cancel := c.patience()
	defer cancel()
	return c.Responses.New(ctx, c.sentence())
}

func respondTools(c *client) (any, error) {
	input := []responses.ResponseInputItemUnionParam{user(c.Prompt)}
	body := c.items(input...)
	body.Tools = weather()
	first, err := c.Responses.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	input = append(input, again(first.Output)...)
	var calls []toolCall
	for _, o := range first.Output {
		if f := o.AsFunctionCall(); o.Type == "function_call" {
			calls = append(calls, toolCall{f.Name, json.RawMessage(f.Arguments)})
			output := responses.ResponseInputItemParamOfFunctionCallOutput(forecast(f.Arguments))
			output.OfFunctionCallOutput.CallID = openai.String(f.CallID)
			input = append(input, output)
		}
	}
	body.Input.OfInputItemList = input
	last, err := c.Responses.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"calls": calls, "text": last.OutputText()}, nil
}

func weather() []responses.ToolUnionParam {
	return []responses.ToolUnionParam{responses.ToolParamOfFunction("weather", cityOnly, true)}
}

func respondToolStream(c *client) (any, error) {
	body := c.sentence()
	body.Tools = weather()
	s := c.Responses.NewStreaming(c.ctx, body)
	defer s.Close()
	var calls []toolCall
	for s.Next() {
		event := s.Current()
		if f := event.Item.AsFunctionCall(); event.Type == "response.output_item.done" && event.Item.Type == "function_call" {
			calls = append(calls, toolCall{f.Name, json.RawMessage(f.Arguments)})
		}
	}
	return map[string]any{"calls": calls}, s.Err()
}

func respondObject(c *client) (any, error) {
	body := c.sentence()
	body.Text.Format = responses.ResponseFormatTextConfigParamOfJSONSchema("person", person)
	got, err := c.Responses.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"object": json.RawMessage(got.OutputText())}, nil
}

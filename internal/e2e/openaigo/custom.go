package main

import (
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// custom gives the model a tool that takes text, there and back.
func custom(c *client) (any, error) {
	body := c.chat(openai.UserMessage(c.Prompt))
	body.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionCustomTool(openai.ChatCompletionCustomToolCustomParam{
		Name: "note", Description: openai.String("Writes a note"),
	})}
	first, err := c.Chat.Completions.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	body.Messages = append(body.Messages, first.Choices[0].Message.ToParam())
	var texts []string
	for _, t := range first.Choices[0].Message.ToolCalls {
		texts = append(texts, t.AsCustom().Custom.Input)
		body.Messages = append(body.Messages, openai.ToolMessage("written", t.ID))
	}
	last, err := c.Chat.Completions.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"texts": texts, "text": last.Choices[0].Message.Content}, nil
}

func respondCustom(c *client) (any, error) {
	body := c.items(user(c.Prompt))
	body.Tools = []responses.ToolUnionParam{{OfCustom: &responses.CustomToolParam{Name: "note", Description: openai.String("Writes a note")}}}
	first, err := c.Responses.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	input := body.Input.OfInputItemList
	var texts []string
	for _, o := range first.Output {
		if call := o.AsCustomToolCall(); o.Type == "custom_tool_call" {
			texts = append(texts, call.Input)
			input = append(input,
				responses.ResponseInputItemParamOfCustomToolCall(call.CallID, call.Input, call.Name),
				responses.ResponseInputItemParamOfCustomToolCallOutput(call.CallID, "written"))
		}
	}
	body.Input.OfInputItemList = input
	last, err := c.Responses.New(c.ctx, body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"texts": texts, "text": last.OutputText()}, nil
}

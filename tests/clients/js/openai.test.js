// OpenAI's client for JavaScript against the service at ORAC_URL, which does what the prompt says.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const STATUSES = JSON.parse(process.env.ORAC_STATUSES);
const CLASSES = {
  400: OpenAI.BadRequestError,
  409: OpenAI.ConflictError,
  422: OpenAI.UnprocessableEntityError,
  429: OpenAI.RateLimitError,
};
const SCHEMA = { type: "object", properties: { go: { type: "boolean" } }, required: ["go"] };
const WEATHER = { type: "function", function: { name: "weather", parameters: { type: "object" } } };

const client = new OpenAI({ baseURL: process.env.ORAC_URL, apiKey: "none", maxRetries: 0 });
const saying = (content, more = {}) => ({ model: "small", messages: [{ role: "user", content }], ...more });
const chat = (content, more) => client.chat.completions.create(saying(content, more));

test("it lists models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ["small", "large"]);
  assert.equal((await client.models.retrieve("general")).id, "small");
});

test("it chats", async () => {
  const answer = await chat("hi", { orac: { deadline_ms: 5000 } });
  assert.equal(answer.choices[0].message.content, "one two three");
  assert.equal(answer.usage.total_tokens, 5);
  assert.equal(answer.orac.instance, "fake");
});

test("it streams, with the tokens used at the end", async () => {
  const stream = await chat("hi", { stream: true, stream_options: { include_usage: true } });
  let text = "";
  let last;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    last = chunk;
  }
  assert.equal(text, "one two three");
  assert.deepEqual([last.choices, last.usage.total_tokens], [[], 5]);
});

test("it gets JSON of a schema", async () => {
  const wanted = { type: "json_schema", json_schema: { name: "answer", schema: SCHEMA } };
  const answer = await chat("hi", { response_format: wanted });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { go: true });
});

test("it calls tools", async () => {
  const [choice] = (await chat("rain?", { tools: [WEATHER] })).choices;
  assert.equal(choice.finish_reason, "tool_calls");
  assert.equal(choice.message.tool_calls[0].function.arguments, '{"place":"Rome"}');
});

test("its helper puts streamed calls together", async () => {
  const runner = client.chat.completions.stream(saying("rain?", { tools: [WEATHER] }));
  const [choice] = (await runner.finalChatCompletion()).choices;
  assert.equal(choice.message.tool_calls[0].function.arguments, '{"place":"Rome"}');
});

test("it is told logprobs", async () => {
  const [choice] = (await chat("hi", { logprobs: true, top_logprobs: 1 })).choices;
  assert.equal(choice.logprobs.content.length, 3);
});

test("it completes text", async () => {
  const answer = await client.completions.create({ model: "small", prompt: "once" });
  assert.equal(answer.choices[0].text, "one two three");
});

for (const [code, status] of Object.entries(STATUSES)) {
  test(`${code} is an error of its class`, async () => {
    const kind = CLASSES[status] ?? OpenAI.InternalServerError;
    await assert.rejects(chat(`fail ${code}`), (error) => {
      assert.ok(error instanceof kind, String(error));
      assert.deepEqual([error.status, error.code], [status, code]);
      return true;
    });
  });
}

test("a model that there is not is not found", async () => {
  await assert.rejects(chat("hi", { model: "absent", stream: true }), OpenAI.NotFoundError);
});

test("an error in mid-stream keeps its code and message", async () => {
  const stream = await chat("break backend_error", { stream: true });
  await assert.rejects(drained(stream), (error) => {
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.equal(error.code, "backend_error");
    assert.match(error.message, /the engine stumbled/);
    return true;
  });
});

test("a stream can be left", async () => {
  for await (const chunk of await chat("endless", { stream: true })) {
    if (chunk.choices[0].delta.content) break;
  }
});

async function drained(stream) {
  for await (const _ of stream);
}

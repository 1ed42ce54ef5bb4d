// OpenAI's client for JavaScript against `orac serve --demo` at ORAC_DEMO_URL, with its tokens.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const { url, user, wrong, robot, endless, caller, broken, width, moved } = JSON.parse(process.env.ORAC_DEMO);
const SCHEMA = { type: "object", properties: { go: { type: "boolean" } }, required: ["go"] };
const WEATHER = { type: "function", function: { name: "weather", parameters: { type: "object" } } };

const client = new OpenAI({ baseURL: url, apiKey: user, maxRetries: 0 });
const saying = (content, more = {}) => ({
  model: robot,
  messages: [{ role: "user", content }],
  temperature: 0,
  ...more,
});
const chat = (content, more, options) => client.chat.completions.create(saying(content, more), options);
const COMMAND = "Move forward 1.5 meters";

test("it lists models of the real engine", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(robot) && ids.includes(endless), String(ids));
  assert.equal((await client.models.retrieve(robot)).id, robot);
});

test("it chats with the real engine", async () => {
  const answer = await chat(COMMAND);
  assert.equal(answer.choices[0].message.content, moved);
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("it streams from the real engine, with the tokens used at the end", async () => {
  const stream = await chat(COMMAND, { stream: true, stream_options: { include_usage: true } });
  let text = "";
  let last;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    last = chunk;
  }
  assert.equal(text, moved);
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
});

test("it gets JSON of a schema from the real engine", async () => {
  const wanted = { type: "json_schema", json_schema: { name: "answer", schema: SCHEMA } };
  const answer = await chat("Stop!", { response_format: wanted, max_tokens: 50 });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content).go, "boolean");
});

test("the real engine calls tools", async () => {
  const [choice] = (await chat("rain?", { model: caller, tools: [WEATHER], tool_choice: "required" })).choices;
  assert.equal(choice.message.tool_calls[0].function.name, "weather");
});

for (const encoding_format of [undefined, "float", "base64"]) {
  test(`it gets embeddings as ${encoding_format ?? "by default"}`, async () => {
    const made = await client.embeddings.create({ model: robot, input: ["go home", "stop"], encoding_format });
    const [first, second] = made.data.map(({ embedding }) =>
      encoding_format === "base64" ? floats(embedding) : embedding,
    );
    assert.deepEqual([first.length, second.length], [width, width]);
    assert.ok(Math.abs(Math.hypot(...first) - 1) < 1e-4);
    assert.notDeepEqual(first, second);
  });
}

const REFUSED = {
  "a prompt too long is 400": [OpenAI.BadRequestError, "context_length_exceeded", () => chat("go ".repeat(2000))],
  "a wrong field is 400": [OpenAI.BadRequestError, "invalid_request", () => chat("hi", { top_p: 7 })],
  "a wrong token is 401": [
    OpenAI.AuthenticationError,
    "unauthorized",
    () => client.withOptions({ apiKey: wrong }).chat.completions.create(saying("hi")),
  ],
  "a load by a user is 403": [
    OpenAI.PermissionDeniedError,
    "forbidden",
    () => client.post("/models/load", { body: { model: robot } }),
  ],
  "a page of elsewhere is 403": [
    OpenAI.PermissionDeniedError,
    "origin_not_allowed",
    () => chat("hi", {}, { headers: { Origin: "https://elsewhere.example" } }),
  ],
  "an absent model is 404": [OpenAI.NotFoundError, "model_not_found", () => chat("hi", { model: "absent" })],
  "a body too large is 413": [OpenAI.APIError, "body_too_large", () => chat("x".repeat(2 << 20))],
  "a broken file is 422": [OpenAI.UnprocessableEntityError, "model_file_invalid", () => chat("hi", { model: broken })],
};

for (const [name, [kind, code, ask]] of Object.entries(REFUSED)) {
  test(name, async () => {
    await assert.rejects(ask, (error) => {
      assert.ok(error instanceof kind, String(error));
      assert.equal(error.code, code);
      assert.equal(error.status, Number(name.slice(-3)));
      return true;
    });
  });
}

test("a stream of the real engine can be left", async () => {
  for await (const chunk of await chat("go", { model: endless, stream: true })) {
    if (chunk.choices[0].delta.content) break;
  }
});

function floats(base64) {
  const { buffer, byteOffset, length } = Buffer.from(base64, "base64");
  return [...new Float32Array(buffer.slice(byteOffset, byteOffset + length))];
}

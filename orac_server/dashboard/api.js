// The HTTP interface. Every failure is a Failure with the server's own words.

const KEY = "orac-token";
const listeners = new Set();

export class Failure extends Error {
  constructor(message, status = null, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The token of this tab; it is kept nowhere else. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)),
};

/** Calls back with the Failure whenever the server wants a token, or another one. */
export function whenRefused(callback) {
  listeners.add(callback);
}

export async function get(path, signal) {
  return (await answered(path, { signal })).json();
}

/** As get, also where the status is that of an error and the body is no error. */
export async function look(path) {
  return (await answered(path, {}, true)).json();
}

export async function getText(path) {
  return (await answered(path, {})).text();
}

export async function post(path, body, signal) {
  return (await answered(path, posting(body, signal))).json();
}

/** Posts a body and yields the events of the answer; ends with `done`, or throws. */
export async function* stream(path, body, signal) {
  const response = await answered(path, posting({ ...body, stream: true }, signal));
  for await (const event of events(response.body)) {
    if (event.name === "error") throw failure(event.data, response.status);
    yield event;
    if (event.name === "done") return;
  }
  throw new Failure("the answer broke off: the server has gone away");
}

/** Yields the events of a stream without end, and `{ name: "" }` for a sign of life. */
export async function* follow(path, signal) {
  const response = await answered(path, { signal });
  yield* events(response.body);
}

function posting(body, signal) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body), signal };
}

async function answered(path, options, bodyCounts = false) {
  const response = await sent(path, options);
  if (response.ok) return response;
  const body = await response.clone().json().catch(() => ({}));
  if (bodyCounts && !body.error) return response;
  const refused = failure(body, response.status);
  if ([401, 403].includes(response.status)) listeners.forEach((each) => each(refused));
  throw refused;
}

async function sent(path, options) {
  const own = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const headers = { ...options.headers, ...own };
  try {
    // Without the cache: the browser lets a page wait for a stream of another page otherwise.
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("the server does not answer");
  }
}

function failure(body, status) {
  if (!body.error) return new Failure(`the server answered ${status}`, status);
  const details = (body.error.details ?? []).map((each) => `${each.path}: ${each.message}`);
  const words = [body.error.message, ...(details.length > 1 ? details : [])].join("\n");
  return new Failure(words, status, body.error.code);
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      yield* blocks.map(parsed);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  const lines = block.split("\n");
  const field = (name) =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field("data");
  return data ? { name: field("event"), data: JSON.parse(data) } : { name: "", data: null };
}

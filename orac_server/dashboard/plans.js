// Whether models fit: the server is asked for one after another, and again when memory has changed.

import { post } from "./api.js";
import { nameOf, store } from "./store.js";

const AT_ONCE = 2;
const FRESH_MS = 60_000;

const plans = new Map();
const waiting = new Map();
const listeners = new Set();
let running = 0;

export const planOf = (name) => plans.get(name)?.plan ?? null;

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Wants plans for these models, and for no others any more. */
export function want(models) {
  const key = memoryKey();
  waiting.clear();
  for (const model of models) {
    if (model.state !== "stopped") continue;
    const known = plans.get(nameOf(model));
    if (known?.key !== key || Date.now() - known.at > FRESH_MS) waiting.set(nameOf(model), key);
  }
  while (running < AT_ONCE && waiting.size) work();
}

/** What a plan depends on: which models are in memory. */
function memoryKey() {
  const held = (store.state.models ?? []).filter((each) => each.state !== "stopped");
  return held.map((each) => `${nameOf(each)} ${each.state} ${each.pinned}`).join("\n");
}

async function work() {
  running += 1;
  while (waiting.size) {
    const [[name, key]] = waiting;
    waiting.delete(name);
    plans.set(name, { key, at: Date.now(), plan: await asked(name) });
    for (const listener of listeners) listener();
  }
  running -= 1;
}

async function asked(name) {
  try {
    return await post("/v1/plan", { model: name });
  } catch (error) {
    return { fits: null, message: error.message, would_evict: [], needed: null };
  }
}

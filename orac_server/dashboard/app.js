// The page of ORAC. What a model or a file says is shown as text, never as markup.

const REFRESH_MS = 3000;
const BUSY = new Set(["starting", "stopping"]);
const byId = (id) => document.getElementById(id);

// The HTTP interface -----------------------------------------------------------------------------

async function failure(response) {
  const body = await response.json().catch(() => ({}));
  return new Error(words(body) ?? `the server answered ${response.status}`);
}

function words(body) {
  if (!body.error) return undefined;
  const details = (body.error.details ?? []).map((each) => `${each.path}: ${each.message}`);
  return [body.error.message, ...(details.length > 1 ? details : [])].join("\n");
}

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** Posts a body and yields the events of the answer; ends with `done`, or throws. */
async function* post(path, body, signal) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  if (!response.ok) throw await failure(response);
  for await (const event of events(response.body)) {
    if (event.name === "error") throw new Error(words(event.data) ?? "the server failed");
    yield event;
    if (event.name === "done") return;
  }
  throw new Error("the answer broke off: the server has gone away");
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    yield* blocks.map(parsed).filter(Boolean);
  }
}

function parsed(block) {
  const lines = block.split("\n");
  const field = (name) =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field("data");
  return data && { name: field("event"), data: JSON.parse(data) };
}

// Models -----------------------------------------------------------------------------------------

const rows = new Map();
const nameOf = (model) => `${model.instance}/${model.id}`;

function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

function newRow() {
  const row = {
    item: element("li", "model"),
    title: element("div", "title"),
    name: element("span", "name"),
    state: element("span", "state"),
    facts: element("p", "facts"),
    note: element("p", "note"),
    progress: element("progress", "progress"),
    button: element("button", ""),
  };
  row.note.setAttribute("role", "status");
  row.progress.hidden = true;
  row.title.append(row.name, row.state);
  row.item.append(row.title, row.facts, row.button, row.note, row.progress);
  row.button.addEventListener("click", () => act(row));
  return row;
}

function show(row, model) {
  row.model = model;
  row.name.textContent = model.id;
  row.state.textContent = model.state;
  row.state.dataset.state = model.state;
  row.facts.textContent = facts(model).join(" · ");
  row.progress.setAttribute("aria-label", `Progress of ${model.id}`);
  if (!row.working) showAction(row, model);
}

function showAction(row, model) {
  const action = model.state === "ready" ? "Unload" : "Load";
  row.button.textContent = action;
  row.button.setAttribute("aria-label", `${action} ${model.id}`);
  row.button.disabled = BUSY.has(model.state);
  row.note.textContent = row.failed ?? model.state_reason ?? "";
  row.note.classList.toggle("error", Boolean(row.note.textContent));
}

function facts(model) {
  const memory = model.memory.measured_bytes;
  return [
    size(model.size_bytes),
    model.quantization,
    model.architecture,
    model.parameters && `${count(model.parameters)} parameters`,
    model.context_length && `context ${model.context_length}`,
    memory && `${size(memory)} in memory`,
    `${model.instance} (${model.kind})`,
    ...model.roles,
  ].filter(Boolean);
}

function size(bytes) {
  if (bytes === null) return null;
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes ? Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1) : 0;
  return `${Number((bytes / 1024 ** power).toFixed(power ? 1 : 0))} ${units[power]}`;
}

function count(number) {
  return Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(number);
}

async function act(row) {
  const model = nameOf(row.model);
  const unloads = row.model.state === "ready";
  row.working = true;
  row.failed = undefined;
  row.button.disabled = true;
  row.note.classList.remove("error");
  row.note.textContent = unloads ? "unloading …" : "loading …";
  try {
    for await (const event of post(`/v1/models/${unloads ? "unload" : "load"}`, { model })) {
      if (event.name === "progress") showProgress(row, event.data);
    }
  } catch (error) {
    row.failed = error.message;
  }
  row.working = false;
  row.progress.hidden = true;
  await refresh();
  showAction(row, row.model);
}

function showProgress(row, { stage, completed, total, message }) {
  const share = total && completed ? ` ${Math.floor((100 * completed) / total)} %` : "";
  row.note.textContent = `${message || stage}${share} …`;
  row.progress.hidden = false;
  if (total && stage === "read") {
    row.progress.max = total;
    row.progress.value = completed;
  } else {
    row.progress.removeAttribute("value");
  }
}

function showModels(models) {
  const names = new Set(models.map(nameOf));
  for (const [name, row] of rows) {
    if (!names.has(name)) {
      row.item.remove();
      rows.delete(name);
    }
  }
  for (const model of models) {
    const row = rows.get(nameOf(model)) ?? newRow();
    if (!row.model) byId("models").append(row.item);
    rows.set(nameOf(model), row);
    show(row, model);
  }
  byId("no-models").hidden = models.length > 0;
  showChoice(models);
}

function showChoice(models) {
  const choice = byId("prompt-model");
  const names = models.filter((model) => model.state !== "failed").map(nameOf);
  if (names.join("\n") === [...choice.options].map((option) => option.value).join("\n")) return;
  const chosen = choice.value;
  choice.replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(chosen)) choice.value = chosen;
}

async function refresh() {
  try {
    showModels((await get("/v1/models")).data);
    showError("models-error", "");
  } catch (error) {
    showError("models-error", `The models can not be listed: ${error.message}`);
  }
}

async function refreshHealth() {
  try {
    const response = await fetch("/v1/health");
    const health = await response.json();
    const { available_bytes: available, total_bytes: total } = health.memory;
    byId("health").textContent =
      `${health.status}: ${health.message} · ${size(available)} of ${size(total)} memory available`;
  } catch {
    byId("health").textContent = "the server does not answer";
  }
}

// Prompt -----------------------------------------------------------------------------------------

let leaving;

async function ask() {
  const model = byId("prompt-model").value;
  const prompt = byId("prompt-text").value;
  const answer = byId("answer");
  leaving = new AbortController();
  showError("prompt-error", "");
  answer.textContent = "";
  answer.hidden = false;
  byId("figures").textContent = "waiting for the first token …";
  asking(true);
  try {
    for await (const event of post("/v1/prompt", { model, prompt }, leaving.signal)) {
      if (event.name === "chunk") showChunk(answer, event.data.text);
      else if (event.name === "done") byId("figures").textContent = figures(event.data);
    }
  } catch (error) {
    byId("figures").textContent = leaving.signal.aborted ? "stopped" : "";
    if (!leaving.signal.aborted) showError("prompt-error", error.message);
    answer.hidden = !answer.textContent;
  }
  asking(false);
  refresh();
}

function showChunk(answer, text) {
  if (!answer.textContent) byId("figures").textContent = "answering …";
  const atEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 40;
  answer.append(text);
  if (atEnd) answer.scrollTop = answer.scrollHeight;
}

function asking(busy) {
  byId("send").disabled = busy;
  byId("stop").disabled = !busy;
}

function figures({ usage, timings, finish_reason: reason, elapsed_ms: elapsed }) {
  const speed = timings.decode_tokens_per_second;
  const cut = { length: "cut at the limit of tokens", deadline: "cut: its time was over" };
  return [
    usage.completion_tokens !== null && `${usage.completion_tokens} tokens`,
    speed !== null && `${speed.toFixed(1)} tokens/s`,
    timings.ttft_ms !== null && `first token after ${timings.ttft_ms.toFixed(0)} ms`,
    `${(elapsed / 1000).toFixed(2)} s in all`,
    cut[reason],
  ]
    .filter(Boolean)
    .join(" · ");
}

function showError(id, message) {
  byId(id).textContent = message;
  byId(id).hidden = !message;
}

// What the reader does ---------------------------------------------------------------------------

byId("prompt-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("send").disabled) ask();
});
byId("prompt-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    byId("prompt-form").requestSubmit();
  }
});
byId("stop").addEventListener("click", () => leaving?.abort());

async function watch() {
  if (!document.hidden) await Promise.all([refresh(), refreshHealth()]);
  setTimeout(watch, REFRESH_MS);
}

watch();

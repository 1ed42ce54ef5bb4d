// The page: its head, the way from view to view, and what keeps it right.

import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./vendor/preact.js";
import { whenActed } from "./actions.js";
import { token, whenRefused } from "./api.js";
import { clock } from "./format.js";
import { Live } from "./live.js";
import { store, useStore } from "./store.js";
import { THEMES, theme } from "./theme.js";
import { TokenDialog } from "./token.js";
import { Benchmark } from "./views/benchmark.js";
import { Health } from "./views/health.js";
import { Models } from "./views/models.js";
import { Overview } from "./views/overview.js";
import { Try } from "./views/try.js";
import { State } from "./widgets.js";

const VIEWS = {
  overview: ["Overview", Overview],
  models: ["Models", Models],
  try: ["Try", Try],
  benchmark: ["Benchmark", Benchmark],
  health: ["Health", Health],
};

/** The view and what stands after it in the address: `#/try/local%2Ftiny`. */
function place() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { name: name in VIEWS ? name : "overview", rest: rest.map(decoded).join("/") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function usePlace() {
  const [found, setFound] = useState(place);
  useEffect(() => {
    const moved = () => setFound(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return found;
}

function Link() {
  const link = useStore((state) => state.link);
  const since = link.since ? `; what is shown is from ${clock(link.since)}` : "";
  const words = {
    live: "live",
    connecting: "connecting …",
    stale: `not up to date: ${link.message}${since}`,
    lost: `not connected: ${link.message}${since}. Trying again …`,
    refused: `not connected: ${link.message}`,
  };
  const ask = () => store.set({ refused: link.state === "refused" ? link.message : "Another token:" });
  return html`<p class="link" data-link=${link.state} role="status">
    <span aria-hidden="true">${link.state === "live" ? "●" : "◌"}</span> ${words[link.state]}
    ${(link.state === "refused" || token.get()) &&
    html` <button type="button" onClick=${ask}>${token.get() ? "Change the token" : "Enter a token"}</button>`}
  </p>`;
}

function Theme() {
  const [chosen, setChosen] = useState(theme.current);
  const choose = (event) => {
    theme.choose(event.target.value);
    setChosen(event.target.value);
  };
  return html`<label class="theme">
    <span class="unseen">Colours</span>
    <select value=${chosen} onChange=${choose}>
      ${THEMES.map((name) => html`<option value=${name}>${name}</option>`)}
    </select>
  </label>`;
}

function Head({ view }) {
  const status = useStore((state) => state.health?.status ?? null);
  return html`<header class="top">
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <h1>ORAC</h1>
    ${status && html`<a class="plain" href="#/health"><${State} of=${status} /></a>`}
    <${Link} />
    <${Theme} />
    <nav aria-label="Views">
      ${Object.entries(VIEWS).map(
        ([name, [title]]) =>
          html`<a href="#/${name}" aria-current=${name === view ? "page" : undefined}>${title}</a>`,
      )}
    </nav>
  </header>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Guarded({ children }) {
  const [error, again] = useErrorBoundary((thrown) => console.error(thrown));
  if (!error) return children;
  return html`<p class="error" role="alert">This view failed: ${error.message}</p>
    <button type="button" onClick=${again}>Try again</button>`;
}

function App() {
  const { name, rest } = usePlace();
  const [title, View] = VIEWS[name];
  const main = useRef();
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} · ORAC`;
    if (!first.current) main.current.focus();
    first.current = false;
  }, [name]);
  return html`<${Head} view=${name} />
    <main id="main" ref=${main} tabindex="-1" aria-label=${title}>
      <${Guarded} key=${name}><${View} rest=${rest} /><//>
    </main>
    <${TokenDialog} whenGiven=${() => live.restart()} />`;
}

const live = new Live(store);
whenActed(() => live.look());
whenRefused((failure) => failure.status === 401 && store.set({ refused: failure.message }));
live.run();

// In a task of its own: asking and drawing together would hold a slow machine up.
setTimeout(() => {
  const root = document.getElementById("app");
  root.replaceChildren();
  render(html`<${App} />`, root);
});

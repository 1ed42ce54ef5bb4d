// The roles that can be asked for: which models stand for each, and which one does so now.

import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { nameOf, useStore } from "../store.js";
import { useAnswer } from "../widgets.js";

const asked = () => get("/v1/profiles");

export function Roles() {
  const models = useStore((state) => state.models) ?? [];
  const link = useStore((state) => state.link.state);
  const [found, error] = useAnswer(asked, [link]);
  return html`<section class="card" aria-labelledby="roles">
    <h2 id="roles">Roles ${found && html`<span class="hint">of the profile ${found.profile}</span>`}</h2>
    ${error && html`<p class="hint">Not told: ${error}</p>`}
    ${found && (found.roles.length ? html`<${Table} roles=${found.roles} models=${models} />` : html`<p class="hint">No role can be asked for.</p>`)}
  </section>`;
}

function Table({ roles, models }) {
  const now = (role) => models.filter((each) => each.roles.includes(role)).map(nameOf);
  return html`<div class="scroll">
    <table>
      <thead><tr><th scope="col">Role</th><th scope="col">Model</th><th scope="col">Falls back to</th><th scope="col">Means now</th></tr></thead>
      <tbody>
        ${roles.map(
          ({ role, models: [own, ...others], adapters }) => html`<tr key=${role}>
            <th scope="row">${role}</th>
            <td>${own}${adapters.length > 0 && html` <span class="hint">with ${adapters.map((each) => each.path).join(", ")}</span>`}</td>
            <td>${others.join(", then ") || html`<span class="hint">nothing</span>`}</td>
            <td>${now(role).join(", ") || html`▲ no model that there is`}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

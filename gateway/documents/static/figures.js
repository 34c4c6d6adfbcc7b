// Live figures: how each consumer is, and what there is of a type at this moment.

import { ask, blameToken, problem, token } from "/assets/asking.js";
import { all, made, one } from "/assets/page.js";

async function consumers() {
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    const answer = await ask(`/consumers?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    if (answer.status !== 200) return { answer };
    found.push(...answer.body.items);
    cursor = answer.body.next;
  }
  return { found };
}

function show(consumer) {
  for (const row of all(`tr[data-consumer="${consumer.name}"]`)) {
    const state = one(".state", row);
    state.textContent = consumer.state;
    state.className = `live-only state ${consumer.state === "running" ? "good" : "bad"}`;
    state.title = consumer.pause ? consumer.pause.reason : "";
    one(".lag", row).textContent = consumer.lag_events.toLocaleString("en");
  }
}

async function live() {
  const { found, answer } = await consumers();
  if (answer) {
    one("#live").textContent = "";
    blameToken(answer.status === 401 ? "The gateway does not take this token." : problem(answer));
    if (answer.status === 401) token.set("");
    return;
  }
  blameToken("");
  found.forEach(show);
  all(".live-only").forEach((cell) => (cell.hidden = false));
  one("#live").textContent = `State of ${found.length} consumers as of ${new Date().toLocaleTimeString()}.`;
}

function forget() {
  token.set("");
  one("#token").value = "";
  blameToken("");
  one("#live").textContent = "";
  all(".live-only").forEach((cell) => (cell.hidden = true));
}

// What GET /event-types/{type} tells, in lines of a list of terms.
function told(found) {
  const { accepted, waiting, set_aside } = found.outbox;
  const letters = Object.entries(found.dead_letters).map(([reason, number]) => `${number} ${reason}`);
  const seen = found.publishers.filter((each) => each.seen > 0).map((each) => `${each.kind} ${each.name} (${each.seen})`);
  const behind = found.consumers
    .filter((each) => each.pending + each.retrying + each.waiting_in_order > 0)
    .map((each) => `${each.name} (${each.pending} pending, ${each.retrying} retrying, ${each.waiting_in_order} in order)`);
  return [
    ["Last published", found.last_published_at ? new Date(found.last_published_at).toLocaleString() : "never"],
    ["Published", `${found.last_hour} in the last hour, ${found.last_day} in the last day`],
    ["Not yet published", `${accepted} due, ${waiting} for later, ${set_aside} set aside`],
    ["Seen to announce it", seen.join(", ") || "nobody lately"],
    ["Schedules", found.schedules.map((each) => `${each.name} (${each.state})`).join(", ") || "none"],
    ["Not through with it", behind.join(", ") || "nobody"],
    ["Dead letters", letters.join(", ") || "none"],
  ];
}

async function lately(details) {
  const place = one(".told", details);
  const answer = token.get() ? await ask(`/event-types/${details.dataset.type}`) : null;
  if (answer?.status === 200) {
    const list = made("dl", "", { className: "facts" });
    for (const [term, text] of told(answer.body)) list.append(made("dt", term), made("dd", text));
    place.replaceChildren(list);
  } else if (answer && answer.status !== 401) {
    place.replaceChildren(made("p", problem(answer), { className: "error" }));
  } else {
    place.replaceChildren(made("p", "For operators: give the token above, and open this again."));
  }
}

export function startFigures() {
  one("#token").value = token.get();
  one("#access").addEventListener("submit", (event) => {
    event.preventDefault();
    token.set(one("#token").value.trim());
    live();
  });
  one("#forget").addEventListener("click", forget);
  for (const details of all("details.lately")) {
    details.addEventListener("toggle", () => details.open && lately(details));
  }
  if (token.get()) live();
}

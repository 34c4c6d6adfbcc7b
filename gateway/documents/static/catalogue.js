// The catalogue's search, live figures and test events. All text from the server is shown as text, never as HTML.
"use strict";

const KEPT_AS = "tidings.operator-token";
const EVERY = 1000; // milliseconds between two looks at a test event
const PATIENCE = 120; // looks, before it is left to a button
const SETTLED = new Set(["handled", "filtered", "dead"]);

const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (selector, from = document) => from.querySelector(selector);
const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

function made(tag, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.textContent = text;
  return element;
}

// The token: in the tab's own storage and in a header, nowhere else.

const token = {
  get: () => sessionStorage.getItem(KEPT_AS) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEPT_AS, value) : sessionStorage.removeItem(KEPT_AS)),
};

async function ask(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${token.get()}` };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  } catch {
    return { status: 0, body: { detail: "The gateway does not answer." } };
  }
  return { status: answer.status, body: await answer.json().catch(() => ({})) };
}

const problem = ({ status, body }) => body.detail || body.title || `The gateway answered ${status}.`;

function blame(field, element, text) {
  element.textContent = text;
  if (field && text) field.setAttribute("aria-invalid", "true");
  else if (field) field.removeAttribute("aria-invalid");
}

function blameToken(text) {
  blame(one("#token"), one("#token-error"), text);
  if (text) one("#token").focus();
}

// Search: types whose text has each of the words.

function search() {
  const words = one("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const section of all("section.type")) {
    const text = section.dataset.text;
    section.hidden = !words.every((word) => text.includes(word));
    one(`.contents li[data-type="${section.dataset.type}"]`).hidden = section.hidden;
    shown += section.hidden ? 0 : 1;
  }
  const of = all("section.type").length;
  one("#matches").textContent = words.length ? `${shown} of ${of} event types` : `${of} event types`;
  one("#nothing").hidden = shown > 0;
}

// Live figures: how each consumer is.

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

// Test events.

function fieldOf(error) {
  if (error.in !== "body") return "form";
  const first = error.field.split(".")[0];
  return ["data", "subject", "why"].includes(first) ? first : "form";
}

function complain(form, name, text) {
  const place = one(`.${name}-error`, form) ?? one(".form-error", form);
  blame(one(`.${name}`, form), place, place.textContent ? `${place.textContent}\n${text}` : text);
}

function clean(form) {
  all(".error", form).forEach((place) => (place.textContent = ""));
  all("[aria-invalid]", form).forEach((field) => field.removeAttribute("aria-invalid"));
}

// The request's body; the data as they were written, since a number may have more digits than JavaScript keeps.
function wanted(form) {
  const written = one(".data", form).value;
  let data;
  try {
    data = JSON.parse(written);
  } catch (error) {
    complain(form, "data", `This is not JSON: ${error.message}`);
    return null;
  }
  if (data === null || typeof data !== "object" || Array.isArray(data)) {
    complain(form, "data", "This must be a JSON object.");
    return null;
  }
  if (!one(".sure", form).checked) {
    complain(form, "sure", "Please say that you want it.");
    return null;
  }
  const subject = one(".subject", form)?.value;
  const why = one(".why", form).value;
  const others = JSON.stringify({ type: form.dataset.type, ...(subject && { subject }), ...(why && { why }) });
  return `${others.slice(0, -1)},"data":${written}}`;
}

// The same request again has the same key, so that it is carried out once whatever became of the first answer.
function keyOf(form, body) {
  if (form.dataset.body !== body) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    form.dataset.body = body;
    form.dataset.key = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  return form.dataset.key;
}

function refuse(form, answer) {
  if (answer.status === 401) {
    blameToken("Publishing needs the operator's token, and the gateway does not take this one.");
    return;
  }
  for (const error of answer.body.errors ?? []) {
    complain(form, fieldOf(error), `${error.field}: ${error.message}`);
  }
  // Of what is sent, only the data can be JSON that the gateway reads and a browser does not, or the other way round.
  if (!answer.body.errors) complain(form, answer.status === 400 ? "data" : "form", problem(answer));
  one("[aria-invalid]", form)?.focus();
}

async function publish(form) {
  clean(form);
  const body = wanted(form);
  if (body === null) {
    one("[aria-invalid]", form)?.focus();
    return;
  }
  if (!token.get()) {
    blameToken("Publishing needs the operator's token.");
    return;
  }
  const headers = { "Content-Type": "application/json", "Idempotency-Key": keyOf(form, body) };
  const answer = await ask("/events", { method: "POST", headers, body });
  if (answer.status !== 202) {
    refuse(form, answer);
    return;
  }
  delete form.dataset.body;
  one(".sure", form).checked = false;
  watch(one(".outcome", form), answer.body.id);
}

// What becomes of an event, until each of its consumers is through.

function lines(story) {
  const list = document.createElement("ul");
  for (const each of story.deliveries) {
    const line = made("li", `${each.consumer}: `);
    line.append(made("span", each.state, { className: each.state === "dead" ? "bad" : SETTLED.has(each.state) ? "good" : "" }));
    if (each.error) line.append(` (${each.error})`);
    list.append(line);
  }
  return list;
}

function draw(outcome, id, story, says) {
  const head = made("p", "Accepted as event ");
  const link = made("a", id, { href: `/events/${id}` });
  // The address asks for the token, so it is looked up here, where the token is.
  link.addEventListener("click", (event) => (event.preventDefault(), watch(outcome, id)));
  head.append(link, ".");
  outcome.replaceChildren(head, made("p", says), ...(story ? [lines(story)] : []));
}

async function watch(outcome, id) {
  outcome.dataset.watches = id;
  draw(outcome, id, null, "Waiting for its consumers …");
  let before = "";
  for (let look = 0; look < PATIENCE && outcome.dataset.watches === id; look += 1) {
    const { status, body, ...rest } = await ask(`/events/${id}`);
    if (status !== 200) {
      draw(outcome, id, null, problem({ status, body, ...rest }));
      return;
    }
    const open = body.deliveries.filter((each) => !SETTLED.has(each.state));
    const isThrough = body.state === "published" && open.length === 0;
    const now = JSON.stringify([body.state, body.deliveries, isThrough]);
    // Drawn when something has changed only: it is read aloud each time.
    if (now !== before) draw(outcome, id, body, isThrough ? "Every consumer is through." : `It is ${body.state}.`);
    before = now;
    if (isThrough) return;
    await pause(EVERY);
  }
  if (outcome.dataset.watches === id) {
    outcome.append(made("p", "Not all are through. The link above looks again."));
  }
}

function start() {
  all(".needs-script").forEach((part) => (part.hidden = false));
  for (const section of all("section.type")) section.dataset.text = section.textContent.toLowerCase();
  one("#search").addEventListener("input", search);
  one("#token").value = token.get();
  one("#access").addEventListener("submit", (event) => {
    event.preventDefault();
    token.set(one("#token").value.trim());
    live();
  });
  one("#forget").addEventListener("click", forget);
  for (const form of all("form.try")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = one("button[type=submit]", form);
      button.disabled = true;
      await publish(form);
      button.disabled = false;
    });
  }
  if (token.get()) live();
}

start();

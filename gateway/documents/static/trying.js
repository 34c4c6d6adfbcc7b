// The form for a test event: checked, sent once, and what is wrong with it told at its field.

import { ask, blameToken, problem, token } from "/assets/asking.js";
import { watch } from "/assets/following.js";
import { all, blame, one } from "/assets/page.js";

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

export function startTrying() {
  for (const form of all("form.try")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = one("button[type=submit]", form);
      button.disabled = true;
      await publish(form);
      button.disabled = false;
    });
  }
}

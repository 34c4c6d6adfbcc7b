// What becomes of an event, until each of its consumers is through.

import { ask, problem } from "/assets/asking.js";
import { made } from "/assets/page.js";

const EVERY = 1000; // milliseconds between two looks
const PATIENCE = 120; // looks, before it is left to the link
const SETTLED = new Set(["handled", "filtered", "dead"]);

const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

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

export async function watch(outcome, id) {
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

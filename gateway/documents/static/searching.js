// The search: types whose text has each of the words.

import { all, one } from "/assets/page.js";

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

export function startSearching() {
  for (const section of all("section.type")) section.dataset.text = section.textContent.toLowerCase();
  one("#search").addEventListener("input", search);
}

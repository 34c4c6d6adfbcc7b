// Requests with the operator's token, which is kept in this tab's own storage and sent in a header, nowhere else.

import { blame, one } from "/assets/page.js";

const KEPT_AS = "tidings.operator-token";

let held = ""; // where the browser lets no page keep anything

export const token = {
  get() {
    try {
      return sessionStorage.getItem(KEPT_AS) ?? held;
    } catch {
      return held;
    }
  },
  set(value) {
    held = value;
    try {
      if (value) sessionStorage.setItem(KEPT_AS, value);
      else sessionStorage.removeItem(KEPT_AS);
    } catch {
      // then until the page is left
    }
  },
};

export async function ask(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${token.get()}` };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  } catch {
    return { status: 0, body: { detail: "The gateway does not answer." } };
  }
  return { status: answer.status, body: await answer.json().catch(() => ({})) };
}

export const problem = ({ status, body }) => body.detail || body.title || `The gateway answered ${status}.`;

export function blameToken(text) {
  blame(one("#token"), one("#token-error"), text);
  if (text) one("#token").focus();
}

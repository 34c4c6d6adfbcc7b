// Requests with the operator's token, which is kept in this tab's own storage and sent in a header, nowhere else.

import { blame, one } from "/assets/page.js";

const KEPT_AS = "tidings.operator-token";

export const token = {
  get: () => sessionStorage.getItem(KEPT_AS) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEPT_AS, value) : sessionStorage.removeItem(KEPT_AS)),
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

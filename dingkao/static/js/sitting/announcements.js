// What those on duty tell whoever sits: shown below the head of the page and over the question, which stays
// where it is, until the doctor puts it away. A tap beside its button reaches what lies below.
import { byId, dismissed } from "./state.js";

const SHUT_MS = 700; // a tap that was on its way doesn't put away what nobody has read
const announcements = new Map(); // id → { id, text, at, withdrawn }, as they came

export function receiveAnnouncements(rows) {
  for (const row of rows ?? []) announcements.set(row.id, row);
  showAnnouncements();
}

export function dismissAnnouncements() {
  for (const { id } of visible()) dismissed.add(id);
  showAnnouncements();
}

const visible = () =>
  [...announcements.values()].filter(({ id, withdrawn }) => !withdrawn && !dismissed.has(id));

function showAnnouncements() {
  const words = visible()
    .map(({ at, text }) => `${at} 监考通知：${text}`)
    .join("\n");
  if (words === byId("announcement-text").textContent) return;
  byId("announcement-text").textContent = words;
  byId("announcement").hidden = !words;
  byId("announcement-close").disabled = true;
  window.setTimeout(() => (byId("announcement-close").disabled = false), SHUT_MS);
}

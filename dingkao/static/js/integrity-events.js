// What is noticed while one answers: leaving the page, the network gone, the page opened again. It is
// kept on this device until the server
// has it, and judged by people alone. Every half minute the page says that it is there; the answer may
// ask it to look how the sitting stands.
const data = JSON.parse(document.getElementById("data").textContent);
const token = document.querySelector("#hand-in input[name=csrf_token]").value;
const clockOffset = data.now - Date.now(); // of this device's clock
const KEY = `dk-events:${data.id}`;
const HEARTBEAT_MS = 30000;
const MIN_SECONDS = 2; // a glance away of a second is nothing
const MAX_STORED = 50; // the latest; as many as the server takes at once
let away = 0;
let offline = 0;
let sending = false;

const now = () => Math.round(Date.now() + clockOffset);

function storedEvents() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}

function storeEvents(events) {
  try {
    if (events.length) localStorage.setItem(KEY, JSON.stringify(events.slice(-MAX_STORED)));
    else localStorage.removeItem(KEY);
  } catch {
    // No storage: what can't be sent now is not known later.
  }
}

// What the server knows an event by, too: sent twice, it is stored once.
const identityOf = ({ kind, at }) => `${kind} ${at}`;

// By identity, not by number: while they were sent, others came, and may have pushed the first ones out.
function removeEvents(events) {
  const identities = new Set(events.map(identityOf));
  storeEvents(storedEvents().filter((event) => !identities.has(identityOf(event))));
}

function recordEvent(kind, at, seconds = 0) {
  storeEvents([...storedEvents(), { kind, at, seconds }]);
  send();
}

async function send() {
  const events = storedEvents();
  if (sending || !events.length) return;
  sending = true;
  try {
    const headers = {
      "Content-Type": "application/json",
      Accept: "application/json",
      "X-CSRFToken": token,
      "X-Requested-With": "fetch",
    };
    const reply = await fetch(data.events, {
      method: "POST",
      keepalive: true,
      headers,
      body: JSON.stringify(events),
    });
    if (reply.ok && !reply.redirected) removeEvents(events);
  } catch {
    // The network is away: the next pulse tries again.
  } finally {
    sending = false;
  }
}

// What the server says to a heartbeat, for sitting.js.
function pass({ look, announcements }) {
  if (announcements) window.dispatchEvent(new CustomEvent("announced", { detail: announcements }));
  if (look) window.dispatchEvent(new Event("look"));
}

async function sendHeartbeat() {
  try {
    const reply = await fetch(data.address.replace(/answer$/, "pulse"), {
      method: "POST",
      credentials: "omit",
      headers: { "X-Sitting": data.token },
    });
    if (reply.ok) pass(await reply.json());
  } catch {
    // The network is away; the page's own line says so.
  }
  send();
}

function onReturn() {
  if (!away) return;
  const seconds = Math.round((now() - away) / 1000);
  if (seconds >= MIN_SECONDS) recordEvent("left", away, seconds);
  away = 0;
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") away ||= now();
  else {
    onReturn();
    sendHeartbeat();
  }
});
window.addEventListener("offline", () => (offline ||= now()));
window.addEventListener("online", () => {
  if (offline) recordEvent("offline", offline, Math.round((now() - offline) / 1000));
  offline = 0;
});
if (Object.keys(data.answers).length) recordEvent("reopened", now());
sendHeartbeat();
window.setInterval(sendHeartbeat, HEARTBEAT_MS);

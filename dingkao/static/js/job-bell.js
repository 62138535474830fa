// The bell in the top bar: how many of one's jobs have ended unseen. Asked for now and then, and at once when
// the page is looked at again; never while nobody looks.
const SECONDS = 60;
const bell = document.querySelector("[data-job-bell]");
const count = bell?.querySelector("[data-job-bell-count]");
let timer = 0;

async function refresh() {
  if (document.visibilityState === "hidden") return;
  try {
    const reply = await fetch(bell.dataset.jobBell, { headers: { "X-Requested-With": "fetch" } });
    if (!reply.ok || reply.redirected) {
      window.clearInterval(timer);
      return;
    }
    const unseen = (await reply.json()).count;
    count.hidden = unseen === 0;
    count.textContent = unseen > 99 ? "99+" : String(unseen);
  } catch {
    // The network is away; the next round tries again.
  }
}

if (bell) {
  timer = window.setInterval(refresh, SECONDS * 1000);
  document.addEventListener("visibilitychange", refresh);
}

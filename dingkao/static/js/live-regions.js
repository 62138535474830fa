// Parts of a page that keep themselves fresh: the page is fetched anew and each part takes its new
// content; ticks stay ticked. Nothing is
// fetched while nobody looks, and where scripts don't run one loads the page by hand.
const liveElements = () => [...document.querySelectorAll("[data-refresh-seconds]")];
const seconds = Number(liveElements()[0]?.dataset.refreshSeconds ?? 0);

async function refresh() {
  if (document.visibilityState === "hidden") return;
  try {
    const reply = await fetch(liveElements()[0].dataset.address ?? window.location.href, {
      headers: { "X-Requested-With": "fetch" },
    });
    if (!reply.ok || reply.redirected) return;
    const fresh = new DOMParser()
      .parseFromString(await reply.text(), "text/html")
      .querySelectorAll("[data-refresh-seconds]");
    liveElements().forEach((part, index) => {
      if (!fresh[index] || part.contains(document.activeElement)) return;
      const ticked = new Set([...part.querySelectorAll("input:checked")].map((box) => box.value));
      part.replaceChildren(...fresh[index].childNodes);
      for (const box of part.querySelectorAll("input[type=checkbox]"))
        box.checked = ticked.has(box.value) && box.value !== "on";
    });
  } catch {
    // The network is away; the next round tries again.
  }
}

if (seconds) window.setInterval(refresh, seconds * 1000);

// Loads the page again every three seconds while its <main> has data-live, and puts the new <main> in its place.
"use strict";
const again = async () => {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  if (!document.hidden && !main.contains(document.activeElement) && !main.querySelector("details[open]")) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
        if (found) main.replaceWith(document.adoptNode(found));
      }
    } catch { /* the next try may succeed */ }
  }
  setTimeout(again, 3000);
};
setTimeout(again, 3000);

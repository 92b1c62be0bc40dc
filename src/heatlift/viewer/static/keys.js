/** Keys that work everywhere, apart from where something is typed. */

/** `views` says what is shown: {image: null or its view}. */
export function listen(views) {
  const dialog = document.getElementById("keys");
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (writes(event.target)) return;
    if (event.key === "?") dialog.showModal();
    else if (event.key === "/" && !views.image()) document.getElementById("find").focus();
    else return void views.image()?.key(event);
    event.preventDefault();
  });
}

function writes(target) {
  return target.closest?.("textarea, select, [contenteditable], input:not([type=range], [type=checkbox], [type=radio])");
}

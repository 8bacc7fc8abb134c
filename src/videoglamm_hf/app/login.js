"use strict";

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await fetch("login", { method: "POST", body: new FormData(event.target) });
  if (response.ok) location.reload();
  else {
    const error = document.getElementById("error");
    error.textContent = "This name and password do not fit; try again.";
    error.hidden = false;
  }
});

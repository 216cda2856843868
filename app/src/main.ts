/** The page: a provider signs in, sends a signal and watches it fan out. */
import { createApp } from "vue";
import "bootstrap/dist/css/bootstrap.min.css";
import "./style.css";
import App from "./App.vue";
import { showFaults } from "./fault.ts";

const app = createApp(App);
const note = document.getElementById("fault");
if (note) showFaults(app, note);
app.mount("#app");

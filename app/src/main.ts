/** The page: a provider signs in, sends a signal and watches it fan out. */
import { createApp } from "vue";
import "bootstrap/dist/css/bootstrap.min.css";
import "./style.css";
import App from "./App.vue";

createApp(App).mount("#app");

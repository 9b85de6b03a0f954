import { start } from "../ui/common";
import { Console } from "./console";
import { HostPage } from "./page";
import { t } from "../i18n";

const code = new URLSearchParams(location.hash.slice(1)).get("pair") ?? "";
// The code is used up once; it shall not stay in the address and in the history.
if (code) history.replaceState(null, "", location.pathname);
start(t.console, <HostPage show={new Console(code)} />);

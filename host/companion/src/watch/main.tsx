import { start } from "../ui/common";
import { t } from "../i18n";
import { GuestShow } from "../guest/show";
import { WatchPage, keepWatching } from "./page";

const show = new GuestShow(new URLSearchParams(location.search).get("invite"));
keepWatching(show);
void show.resume();
start(t.watchTitle, <WatchPage show={show} />);
show.announce(t.watchTitle);

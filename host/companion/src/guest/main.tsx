import { start } from "../ui/common";
import { GuestPage } from "./page";
import { GuestShow } from "./show";
import { t } from "../i18n";

const show = new GuestShow(new URLSearchParams(location.search).get("invite"));
void show.resume();
start(t.guestTitle, <GuestPage show={show} />);
show.announce(t.guestTitle);

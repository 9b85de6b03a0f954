// What the pages add to the generated wire types.

import type { Methods, Notification } from "./protocol";

export type Role = "host" | "guest";

export type Params<M extends keyof Methods> = Methods[M]["params"];
export type Result<M extends keyof Methods> = Methods[M]["result"];

/** The parameters of every notification, by its name. */
export type Notifications = { [N in Notification as N["method"]]: N["params"] };

export type MediaOffer = Notifications["media.offer"];

//! From seats to the programme's picture: the layout's rectangles, and what each guest shall send for its own.

use dais_protocol::{Notification, SeatState, Token, VideoWant};
use dais_room::layout::{self, Size};
use dais_studio::api::{Fit, Look, Rect, Scene, SceneSeat, Source};

use super::Appliance;

/// Below this every encoder looks bad, whatever the size.
const LEAST_KBPS: u32 = 150;

impl Appliance {
    /// Gives the studio the newest scene, tells guests what their tiles can use, and ends watching where a seat took over.
    pub(super) fn show_picture(&mut self) {
        let scene = self.scene();
        let on_air: Vec<_> = self
            .room
            .on_programme()
            .filter(|p| p.state == SeatState::OnAir)
            .map(|p| super::guest(p.user))
            .collect();
        for who in on_air {
            self.stop_watching(&who);
        }
        self.send_wants(&scene);
        self.plane.scene(scene);
    }

    fn scene(&self) -> Scene {
        let snapshot = self.room.snapshot(self.clock.now_ms());
        let mut seats = vec![SceneSeat {
            seat: 0,
            source: Source::Host,
            rect: None,
            z: 0,
            fit: Fit::Cover,
            look: if snapshot.host.camera {
                Look::Live
            } else {
                Look::Card
            },
            name: snapshot.host.name.to_string(),
            audible: !snapshot.host.muted,
            gain_db: 0.0,
        }];
        // Whoever is still connecting has nothing to show: the tile comes with the first frame.
        for person in self
            .room
            .on_programme()
            .filter(|p| p.state != SeatState::Connecting)
        {
            let look = match person.state {
                SeatState::Reconnecting => Look::Dimmed,
                _ if !person.camera || person.video_muted => Look::Card,
                _ => Look::Live,
            };
            seats.push(SceneSeat {
                seat: person.seat.get(),
                source: Source::Session(person.session.map(|s| s.to_string()).unwrap_or_default()),
                rect: None,
                z: 0,
                fit: Fit::Cover,
                look,
                name: person.name.to_string(),
                audible: !person.audio_muted && person.state == SeatState::OnAir,
                gain_db: person.gain_db.get(),
            });
        }
        let canvas = Size {
            w: self.config.programme.width,
            h: self.config.programme.height,
        };
        let people: Vec<u8> = seats.iter().map(|seat| seat.seat).collect();
        let speaking = snapshot
            .guests
            .iter()
            .find(|guest| guest.speaking)
            .map(|guest| guest.seat.get());
        for place in layout::arrange(snapshot.layout, canvas, &people, speaking) {
            if let Some(seat) = seats.iter_mut().find(|seat| seat.seat == place.seat) {
                seat.rect = Some(Rect {
                    x: place.rect.x,
                    y: place.rect.y,
                    w: place.rect.w,
                    h: place.rect.h,
                });
                seat.z = place.z;
                seat.fit = match place.fit {
                    layout::Fit::Contain => Fit::Contain,
                    layout::Fit::Cover => Fit::Cover,
                };
            }
        }
        let spoken_to = self.room.talkback();
        let talkback = spoken_to.and_then(|talkback| self.room.session_of(&talkback.user));
        Scene {
            seats,
            talkback: talkback.map(ToString::to_string),
        }
    }

    fn send_wants(&mut self, scene: &Scene) {
        let mut news = Vec::new();
        for person in self.room.on_programme().filter(|p| p.camera) {
            let Some(session) = person.session else {
                continue;
            };
            let tile = scene
                .seats
                .iter()
                .find(|seat| seat.seat == person.seat.get())
                .and_then(|seat| seat.rect);
            let want = fit_want(self.most(), tile);
            // The offer tells the first one.
            if self.wants.get(session).is_some_and(|told| *told != want) {
                news.push((person.user.clone(), session.clone(), want));
            }
        }
        for (user, session, want) in news {
            self.wants.insert(session, want);
            self.tell_guest(&user, &Notification::MediaWant { want }, self.room.rev());
        }
    }

    pub(super) fn want_of(&self, session: &Token) -> VideoWant {
        let seat = self
            .room
            .on_programme()
            .find(|p| p.session == Some(session))
            .map(|p| p.seat.get());
        let tile = seat
            .and_then(|seat| self.scene().seats.into_iter().find(|s| s.seat == seat))
            .and_then(|s| s.rect);
        fit_want(self.most(), tile)
    }
}

/// No more pixels than the tile shows, and no more than `most`. Without a tile, as before a seat is given, the most.
fn fit_want(most: VideoWant, tile: Option<Rect>) -> VideoWant {
    let Some(tile) = tile else { return most };
    // The smallest even size with the shape of `most` that covers the tile.
    let scale = f64::max(
        f64::from(tile.w) / f64::from(most.width),
        f64::from(tile.h) / f64::from(most.height),
    )
    .min(1.0);
    let even =
        |pixels: u32| ((f64::from(pixels) * scale / 2.0).ceil() as u32 * 2).clamp(2, pixels.max(2));
    let (width, height) = (even(most.width), even(most.height));
    // As many bits a pixel as the largest picture has.
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let share =
        u64::from(most.max_kbps) * pixels(width, height) / pixels(most.width, most.height).max(1);
    VideoWant {
        width,
        height,
        max_fps: most.max_fps,
        max_kbps: u32::try_from(share)
            .unwrap_or(most.max_kbps)
            .clamp(LEAST_KBPS.min(most.max_kbps), most.max_kbps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: VideoWant = VideoWant {
        width: 640,
        height: 360,
        max_fps: 30,
        max_kbps: 1200,
    };

    #[test]
    fn a_guest_is_asked_for_no_more_pixels_than_its_tile_shows() {
        let want = |w, h| fit_want(MOST, Some(Rect { x: 0, y: 0, w, h }));
        assert_eq!(want(1920, 1080), MOST);
        assert_eq!(
            want(320, 180),
            VideoWant {
                width: 320,
                height: 180,
                max_fps: 30,
                max_kbps: 300
            }
        );
        assert_eq!((want(480, 360).width, want(480, 360).height), (640, 360));
        assert_eq!(fit_want(MOST, None), MOST);
        assert_eq!(want(64, 36).max_kbps, 150);
    }
}

# What the tests ask of a recording: each prints what it found and fails when that is not what it should be. Needs ffmpeg.

# frames FILE AT_LEAST
frames() {
  local n
  n=$(ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$1")
  echo "  $n frames"
  [ "$n" -ge "$2" ]
}

# even_beat FILE: no timestamp twice, none backwards, and none further than 3 frames from the next
even_beat() {
  ffprobe -v error -select_streams v:0 -show_entries packet=pts_time -of csv=p=0 "$1" | sort -n | awk '
    NR > 1 { d = $1 - last; if (d <= 0) { print "  repeated timestamp " $1; bad = 1 } sum += d; n++; if (d > max) { max = d; at = last } }
    { last = $1 }
    END { beat = sum / n; printf "  beat %.1f ms, longest interval %.1f ms at %s s\n", beat * 1000, max * 1000, at; exit bad || max > 3 * beat }'
}

# colour_bars FILE SECOND CROP [BITS]: vivid's own picture, 75 % colour bars, in that part of the frame ("in_w:in_h/2:0:in_h/2");
# BITS are eight samples of red, green and blue from left to right, all eight bars if left out
colour_bars() {
  local bits bars=${4:-111 110 011 010 101 100 001 000}
  bits=$(ffmpeg -v error -ss "$2" -i "$1" -frames:v 1 -vf "format=rgb24,crop=$3,scale=8:1:flags=area" -f rawvideo - |
    od -An -v -tu1 -w3 | awk '{ printf "%s%d%d%d", (NR > 1 ? " " : ""), ($1 > 96), ($2 > 96), ($3 > 96) }')
  echo "  bars $bits at $2 s"
  [ "$bits" = "$bars" ]
}

# volume FILE [FILTER]: of the sound, or of what a filter leaves of it, in dB of full scale
volume() { ffmpeg -v info -i "$1" -map a:0 -af "${2:+$2,}volumedetect" -f null - 2>&1 | awk '/mean_volume/ {print $5}'; }
band() { echo "bandpass=f=$1:width_type=h:width=60"; }

# tone FILE HZ [DB_BELOW_ALL]: the energy around HZ is nearly all the energy of the sound, or no more than that much less
tone() {
  local all band below=${3:-1.5}
  all=$(volume "$1") band=$(volume "$1" "$(band "$2")")
  echo "  sound $all dB, of it around $2 Hz $band dB"
  awk -v all="$all" -v band="$band" -v below="$below" 'BEGIN { exit !(all > -40 && all - band < below) }'
}

# no_tone FILE HZ DB_BELOW_ALL: the energy around HZ is at least that much less than all of it. Twice through the filter, which alone
# lets more than a hundredth of a neighbour pass.
no_tone() {
  local all band
  all=$(volume "$1") band=$(volume "$1" "$(band "$2"),$(band "$2")")
  echo "  sound $all dB, of it around $2 Hz $band dB"
  awk -v all="$all" -v band="$band" -v below="$3" 'BEGIN { exit !(all > -40 && all - band >= below) }'
}

# colour FILE SECOND CROP R G B: the mean colour of that part, 48 of 255 a channel off at most
colour() {
  local mean
  mean=$(ffmpeg -v error -ss "$2" -i "$1" -frames:v 1 -vf "format=rgb24,crop=$3,scale=1:1:flags=area" -f rawvideo - | od -An -v -tu1)
  echo "  mean colour$mean at $2 s, should be near $4 $5 $6"
  awk -v want="$4 $5 $6" '{ split(want, w); for (i = 1; i <= 3; i++) if ($i - w[i] > 48 || w[i] - $i > 48) exit 1 }' <<<"$mean"
}

# either_colour FILE SECOND CROP CROP R G B: one of two parts has that colour; a test picture's ball hides one at most
either_colour() {
  colour "$1" "$2" "$3" "$5" "$6" "$7" || colour "$1" "$2" "$4" "$5" "$6" "$7"
}

# returns FILE COUNT MAX_MS: lines "KIND MS", so many, none longer
returns() {
  awk -v want="$2" -v limit="$3" '{ ms = $NF; kind = $0; sub(/ [0-9]+$/, "", kind); n[kind]++; sum[kind] += ms; if (ms > max[kind]) max[kind] = ms; if (ms > limit) bad = 1 }
    END { for (k in n) printf "  %s: %d times, mean %d ms, longest %d ms\n", k, n[k], sum[k] / n[k], max[k]; exit bad || NR != want }' "$1"
}

# slates FILE AT_LEAST: how often vivid's colour bars gave way to a slate (dark, unlike noise or black flicker) and came back
slates() {
  ffmpeg -v error -i "$1" -vf "crop=in_w:in_h/20:0:in_h*13/16,scale=8:1:flags=area,format=rgb24" -f rawvideo - | od -An -v -tu1 -w24 | awk -v least="$2" '
    { bars = dark = 0
      for (i = 1; i <= 24; i += 3) {
        if ($i > 96 && $(i+1) > 96 && $(i+2) < 96) bars = 1          # yellow
        if ($i < 72 && $(i+1) < 72 && $(i+2) < 72) dark++
      }
      if (bars) { if (away && slate) { n++; lengths = lengths " " away } away = slate = 0; seen = 1 }
      else if (seen) { away++; if (dark == 8) slate = 1; else other++ } }
    END { printf "  %d slates, of%s frames; %d frames neither slate nor bars\n", n, lengths, other; exit n < least || away }'
}

# off_beat FILE: of each beep how many seconds after the first one it comes, and how many ms after a whole one of them. The last is cut by
# the recording's end.
off_beat() {
  ffmpeg -v info -i "$1" -map a:0 -af "silencedetect=noise=-32dB:d=0.3" -f null - 2>&1 |
    sed -n 's/.*silence_end: \([0-9.]*\).*/\1/p' | sed '$d' |
    awk 'NR == 1 { first = $1 } { at = $1 - first; second = int(at + 0.5); printf "%d %.1f\n", second, 1000 * (at - second) }'
}
# third_earliest: of lines of off_beat
third_earliest() { sort -g -k 2 | awk 'NR == 3 { print $2 }'; }

# beeps FILE MAX_MS: a beep a second, and between the first 32, of the time before any fault, and the last 20 no further shift. Of each the
# third by earliness: a moment without time makes beeps late, for half a minute, and says nothing of the clocks.
beeps() {
  local all count seconds first last
  all=$(off_beat "$1")
  count=$(wc -l <<<"$all") seconds=$(tail -n 1 <<<"$all" | cut -d' ' -f1)
  first=$(head -n 32 <<<"$all" | third_earliest) last=$(tail -n 20 <<<"$all" | third_earliest)
  echo "  $count beeps in $seconds s, the first at $first ms, the last at $last ms; all at $(cut -d' ' -f2 <<<"$all" | paste -sd' ')"
  awk -v count="$count" -v seconds="$seconds" -v first="$first" -v last="$last" -v limit="$2" \
    'BEGIN { d = last - first; exit !(count >= 52 && count >= 0.9 * seconds && d <= limit && -d <= limit) }'
}

# heard_at_end FILE SECONDS: a beep in the last so many seconds
heard_at_end() {
  local length
  length=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$1")
  ffmpeg -v info -i "$1" -map a:0 -af "silencedetect=noise=-32dB:d=0.3" -f null - 2>&1 |
    awk -v total="$length" -v within="$2" '/silence_end/ { for (i = 1; i <= NF; i++) if ($i == "silence_end:") last = $(i+1) }
      END { printf "  the last beep at %.1f s of %.1f s\n", last, total; exit last < total - within }'
}

# one_gap FILE FPS SECONDS: where an encoder was left for another: one interval longer than a frame, below so many seconds, a keyframe
# behind it, and everything decodes
one_gap() {
  local complaints
  complaints=$(ffmpeg -v error -xerror -i "$1" -map 0 -f null - 2>&1) || { echo "  $complaints"; return 1; }
  ffprobe -v error -select_streams v:0 -show_entries packet=pts_time,flags -of csv=p=0 "$1" | awk -F, -v fps="$2" -v limit="$3" '
    NR > 1 { d = $1 - last; if (d <= 0) bad = 1; if (d > 1.1 / fps) { n++; gap = d; if ($2 !~ /^K/) bad = 1 } }
    { last = $1 }
    END { printf "  %d frames, %d gaps, the last of %.2f s\n", NR, n, gap; exit bad || n != 1 || gap >= limit }'
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results of a run, as figures and as JSON. One JSON document is one run:
 *
 *   {
 *     "schema": "postern-bench/1",
 *     "mode": "ring",                         ring, wire (our stack), load (kernel sockets)
 *     "version": "0.1.0",
 *     "started": "2026-01-31T12:00:00Z",
 *     "seconds": 93.1,
 *     "command": ["postern-bench", "ring", "--quick"],
 *     "host": {
 *       "cpu": "model name", "cores": 2, "kernel": "Linux 6.1.0-18-amd64", "dpdk": "DPDK 22.11.4",
 *       "openssl": "OpenSSL 3.0.13 ...", "driver": "net_ring", "nic": "", "memory_mb": 7900,
 *       "tsc_hz": 2500000000, "hypervisor": true
 *     },
 *     "params": {"repetitions": 5, "warmup": 1, ...},          what was asked for; flat
 *     "results": [
 *       {
 *         "case": "handshake/full/ecdsa-p256",  unique in the document, but for series
 *         "title": "STARTTLS, full handshake, TLS 1.3, ECDSA P-256",
 *         "unit": "handshake",                  what the metrics are per
 *         "units": 400,                         in one repetition
 *         "point": {"name": "message_size", "value": 4096, "unit": "B"},
 *                                               of a sweep: results of one case and one
 *                                               point.name are a series; else absent
 *         "metrics": {                          flat; the unit is the name's ending
 *           "busy_us": {"median": 214.2, "min": 210.0, "max": 230.1},
 *           "busy_cycles": ..., "cpu_us": ..., "rate_per_s": ...
 *         },
 *         "layers": {                           medians, of one unit; absent where unknown
 *           "net": {"cycles": 5120.0, "us": 2.0}, "tcp": .., "tls": .., "smtp": ..,
 *           "policy": .., "crypto": .., "relay": ..
 *         },
 *         "turns": {"n": 5210, "p50_us": 11.2, "p99_us": 260.3, "p999_us": 310.0, "max_us": 702.1},
 *                                               CPU time of one turn of the worker's loop that
 *                                               had work; over all repetitions that count
 *         "latency": {                          as seen by the client, over all that count
 *           "session":   {"n": .., "mean_us": .., "p50_us": .., "p90_us": .., "p99_us": ..,
 *                         "p999_us": .., "max_us": ..},
 *           "connect":   .., "handshake": .., "message": ..
 *         },
 *         "runs": [                             each repetition, in the order they were made
 *           {"metrics": {"busy_us": 214.2, ...}, "layers": {"net": 5120.0, ...},
 *            "disturbed": false, "why": "", "counted": true}
 *         ],
 *         "noise": {"spread": 0.04,             (max - min) / median of the first metric
 *                   "disturbed": 1, "repeated": 1,
 *                   "quiet": true}              false: compare with care
 *       }
 *     ],
 *     "noise": {"quiet": true, "text": ""}      of the machine, over the whole run
 *   }
 *
 * Metrics of mode ring are per unit of the gateway's worker: `busy_us` and `busy_cycles` (TSC of
 * turns that had work, less what others stole), `cpu_us` (the thread's CPU time from the OS, polls
 * and sleeps included), `empty_us` (polls that found nothing), `sleep_us` (CPU time of going
 * to sleep and waking).
 * Metrics of modes wire and load are of the whole run: `sessions_per_s`, `handshakes_per_s`,
 * `messages_per_s`, `mb_per_s`, `failures`, `offered_per_s`, `idle_bytes` ...
 *
 * Absent is unknown. A reader passes over keys it does not know.
 */
#ifndef RESULT_H
#define RESULT_H

#endif

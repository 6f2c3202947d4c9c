/** The text of the systemd unit. Pure. */

/**
 * `KillMode=process`: a restart of the daemon leaves the pods' processes running, as a kubelet's restart does;
 * `mk8s stop` ends them through the admin socket first.
 */
export function unitText({ program, dataDir }: { program: string; dataDir: string }): string {
  return `[Unit]
Description=mk8s, a Kubernetes node
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${quote(program)} daemon --data-dir ${quote(dataDir)}
Restart=on-failure
RestartSec=1
RestartSteps=5
RestartMaxDelaySec=30
KillMode=process
TimeoutStopSec=30
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
`
}

/** A word of ExecStart: quoted, with what systemd would expand taken literally. */
function quote(word: string): string {
  const literal = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$')
  return `"${literal}"`
}

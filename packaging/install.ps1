# Installs mk8s on Windows: checks the executable's SHA-256 and puts it into a directory on the PATH. Works without a
# network from a local file.
#   .\install.ps1 -From FILE|DIRECTORY|URL [-Prefix DIR] [-Sha256 SUM]
param(
  [Parameter(Mandatory = $true)][string]$From,
  [string]$Prefix = (Join-Path $env:ProgramFiles 'mk8s'),
  [string]$Sha256 = ''
)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$name = 'mk8s-win-x64.exe'
if (-not [Environment]::Is64BitOperatingSystem) { throw 'there is no mk8s for 32-bit Windows' }

$work = Join-Path ([IO.Path]::GetTempPath()) ([Guid]::NewGuid())
New-Item -ItemType Directory -Path $work | Out-Null
try {
  $file = Join-Path $work 'mk8s.exe'
  $sums = Join-Path $work 'SHA256SUMS'
  if ($From -match '^https?://') {
    $base = $From.TrimEnd('/')
    Write-Host "- download $name"
    Invoke-WebRequest -UseBasicParsing -Uri "$base/$name" -OutFile $file
    if ($Sha256 -eq '') { Invoke-WebRequest -UseBasicParsing -Uri "$base/SHA256SUMS" -OutFile $sums }
  } else {
    if (Test-Path -PathType Container $From) { $From = Join-Path $From $name }
    if (-not (Test-Path -PathType Leaf $From)) { throw "$From does not exist" }
    $name = Split-Path -Leaf $From
    Copy-Item $From $file
    if ($Sha256 -eq '') {
      $beside = Join-Path (Split-Path -Parent (Resolve-Path $From)) 'SHA256SUMS'
      if (-not (Test-Path $beside)) { throw "there is no SHA256SUMS beside $From; give the checksum with -Sha256" }
      Copy-Item $beside $sums
    }
  }
  if ($Sha256 -eq '') {
    foreach ($line in Get-Content $sums) {
      $sum, $listed = $line -split '\s+\*?', 2
      if ($listed -eq $name) { $Sha256 = $sum }
    }
    if ($Sha256 -eq '') { throw "SHA256SUMS says nothing of $name" }
  }
  $found = (Get-FileHash -Algorithm SHA256 $file).Hash
  if ($found -ne $Sha256) { throw "the checksum of $name is wrong: it was cut or changed on its way" }
  $version = & $file --version
  if ($LASTEXITCODE -ne 0) { throw "$name does not run on this machine" }

  Write-Host "- install $version into $Prefix"
  New-Item -ItemType Directory -Force -Path $Prefix | Out-Null
  $target = Join-Path $Prefix 'mk8s.exe'
  # A running executable cannot be written, but it can be renamed.
  if (Test-Path $target) { Move-Item -Force $target "$target.previous" }
  Copy-Item $file $target
  & $target completion powershell | Set-Content -Encoding utf8 (Join-Path $Prefix 'mk8s-completion.ps1')
  $path = [Environment]::GetEnvironmentVariable('Path', 'Machine')
  if (($path -split ';') -notcontains $Prefix) {
    [Environment]::SetEnvironmentVariable('Path', "$path;$Prefix", 'Machine')
  }
  Write-Host "$version is installed."
  Write-Host '  next   mk8s install   (in a new PowerShell, as administrator)'
} finally {
  Remove-Item -Recurse -Force $work
}

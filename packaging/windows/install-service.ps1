<#
.SYNOPSIS
Has Windows run the agent from its start on, restart it within a minute when it ends by itself, and lets it drain when it is stopped.
.DESCRIPTION
A task of the Task Scheduler, since node.exe does not speak to the service manager. In a PowerShell of an administrator:
  powershell -ExecutionPolicy Bypass -File .\install-service.ps1 -Config C:\flux-agent\agent.yaml
To stop it, so that it stays stopped, and to remove it:
  Disable-ScheduledTask flux-agent
  .\flux-agent.cmd stop --config C:\flux-agent\agent.yaml
  Unregister-ScheduledTask flux-agent -Confirm:$false
.PARAMETER Config
The agent's configuration. Its folder, with the certificates and, by default, the state in it, is opened to the account.
.PARAMETER User
The account of the agent and of its functions.
#>
param(
  [Parameter(Mandatory)] [string] $Config,
  [string] $User = 'NT AUTHORITY\LocalService'
)
$ErrorActionPreference = 'Stop'
$file = (Resolve-Path -LiteralPath $Config).Path
$folder = Split-Path -Parent $file
$node = Join-Path $PSScriptRoot 'node.exe'
$program = Join-Path $PSScriptRoot 'app\dist\agent\cli\index.js'

icacls $folder /grant "${User}:(OI)(CI)M" | Out-Null
if ($LASTEXITCODE -ne 0) { throw "$folder cannot be opened to ${User}: run this as an administrator" }

$action = New-ScheduledTaskAction -Execute $node -Argument "@NODE_OPTIONS@ `"$program`" start --config `"$file`"" -WorkingDirectory $folder
# Tried every minute, which does nothing while it runs: the restart of a task that fails knows only failures to start.
$minutely = New-ScheduledTaskTrigger -Once -At (Get-Date) -RepetitionInterval (New-TimeSpan -Minutes 1)
$triggers = (New-ScheduledTaskTrigger -AtStartup), $minutely
$principal = New-ScheduledTaskPrincipal -UserId $User -LogonType ServiceAccount
$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -ExecutionTimeLimit ([TimeSpan]::Zero) `
  -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
$task = @{ TaskName = 'flux-agent'; Action = $action; Trigger = $triggers; Principal = $principal; Settings = $settings }
Register-ScheduledTask @task -Force
Start-ScheduledTask -TaskName 'flux-agent'

@"%~dp0node.exe" "%~dp0app\dist\agent\cli\index.js" %*

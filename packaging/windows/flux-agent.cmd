@"%~dp0node.exe" "%~dp0app\dist\src\cli\index.js" %*
